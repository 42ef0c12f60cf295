// A client of the vault channel as anybody would write one: `ws` with JSON, or with @msgpack/msgpack.
import { decode, encode } from '@msgpack/msgpack'
import { decompress } from 'fzstd'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import WebSocket from 'ws'
import { Server } from './server.mjs'
import { until } from './until.mjs'

const USERS = `
[[users]]
name = "alice"
token = "alice-token-alice-token"
role = "write"
vaults = ["personal"]
[[users]]
name = "bob"
token = "bob-token-bob-token-bob"
role = "write"
vaults = ["personal", "shared"]
[[users]]
name = "eve"
token = "eve-token-eve-token-eve"
role = "read"
vaults = ["shared"]
[[users]]
name = "root"
token = "root-token-root-token"
role = "admin"
`

export const TOKENS = {
  alice: 'alice-token-alice-token',
  bob: 'bob-token-bob-token-bob',
  eve: 'eve-token-eve-token-eve',
  root: 'root-token-root-token'
}

/** A server with users; `more` goes before them in the configuration. */
export const guarded = async (t, more = '') => {
  const dir = await mkdtemp(join(tmpdir(), 'sheaf-channel-'))
  t.after(() => rm(dir, { recursive: true, force: true }))
  const file = join(dir, 'sheaf.toml')
  await writeFile(file, more + USERS, { mode: 0o600 })
  return Server.for(t, { args: ['--config', file] })
}

export class Channel {
  /** Connects; `form` is 'json' or 'msgpack'. */
  static async open(t, server, { path = '/v1/ws', form = 'json', headers = {}, protocols = ['sheaf.v1'] } = {}) {
    const channel = new Channel(new WebSocket(server.ws + path, protocols, { headers, maxPayload: 64 << 20 }), form)
    t.after(() => channel.socket.terminate())
    await until(() => channel.socket.readyState === WebSocket.OPEN || channel.failure, 'an open socket')
    if (channel.failure) throw channel.failure
    return channel
  }

  /** Connects and says who it is. */
  static async as(t, server, user, { vault = 'personal', form = 'json', ...auth } = {}) {
    const channel = await Channel.open(t, server, { form })
    channel.ok = await channel.ask({ type: 'auth', token: TOKENS[user], vault, ...auth })
    return channel
  }

  constructor(socket, form) {
    Object.assign(this, { socket, form, heard: [], frames: [], closed: null, failure: null, last: 0 })
    socket.on('error', (error) => { this.failure = error })
    socket.on('close', (code) => { this.closed = code })
    socket.on('message', (data, isBinary) => {
      this.frames.push({ isBinary, bytes: data.length })
      let message = isBinary ? decode(data) : JSON.parse(String(data))
      if (message.z) message = { ...decode(decompress(message.z)), packed: true }
      this.heard.push(message)
    })
  }

  send(message) {
    this.socket.send(this.form === 'json' ? JSON.stringify(message) : encode(message))
  }

  /** Sends with a name of its own, and gives the answer. */
  ask(message) {
    const re = message.re ?? ++this.last
    this.send({ ...message, re })
    return this.hear((it) => it.re === re, JSON.stringify(message).slice(0, 200))
  }

  /** The first message that was heard, or will be, for which `is` holds; it is taken out. */
  async hear(is, what = 'a message') {
    const at = () => this.heard.findIndex(is)
    const gone = () => this.closed !== null && at() < 0
    await until(() => at() >= 0 || gone(), () => `${what}; heard ${JSON.stringify(this.heard).slice(0, 2000)}`)
    if (at() < 0) throw new Error(`closed with ${this.closed} instead of ${what}`)
    return this.heard.splice(at(), 1)[0]
  }

  /** The close code. */
  async end() {
    await until(() => this.closed !== null, 'the end of the socket')
    return this.closed
  }
}
