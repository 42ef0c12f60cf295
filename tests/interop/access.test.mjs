// Where stock clients can put a token, and what they do when it is taken away.
import assert from 'node:assert/strict'
import { rename, writeFile } from 'node:fs/promises'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import WebSocket from 'ws'
import * as Y from 'yjs'
import { WebsocketProvider } from 'yws3'
import { Server } from './server.mjs'
import { until } from './until.mjs'

const TOKEN = 'a-token-of-some-length'
const ADA = `[[users]]\nname = "ada"\ntoken = "${TOKEN}"\nrole = "write"\n`
const BOB = '[[users]]\nname = "bob"\ntoken = "another-token-of-some-length"\nrole = "write"\n'

/** A server with a configuration file that `configure` replaces, as an editor does. */
async function guarded(t) {
  const dir = await mkdtemp(join(tmpdir(), 'sheaf-access-'))
  t.after(() => rm(dir, { recursive: true, force: true }))
  const file = join(dir, 'sheaf.toml')
  const configure = async (text) => {
    await writeFile(`${file}.new`, text, { mode: 0o600 })
    await rename(`${file}.new`, file)
  }
  await configure(ADA + BOB)
  const server = await Server.for(t, { args: ['--config', file] })
  return { server, configure }
}

/** Opens a socket and tells the subprotocol it got, or the status it was refused with. */
function open(url, protocols) {
  return new Promise((resolve) => {
    const socket = new WebSocket(url, protocols)
    socket.on('unexpected-response', (_, response) => resolve(response.statusCode))
    socket.on('error', () => {})
    socket.on('open', () => {
      resolve(socket.protocol)
      socket.close()
    })
  })
}

test('a token goes in as a subprotocol, and another one comes back', async (t) => {
  const { server } = await guarded(t)
  const url = `${server.ws}/room`
  const ours = `sheaf.token.${Buffer.from(TOKEN).toString('base64url')}`
  assert.equal(await open(url, [ours, 'sheaf']), 'sheaf')
  assert.equal(await open(url, ['sheaf', ours]), 'sheaf')
  assert.equal(await open(url, [`yauth-${TOKEN}`, 'y']), 'y')
  // All there is: `ws` and browsers fail a connection whose offer is not taken up.
  assert.equal(await open(url, [`yauth-${TOKEN}`]), `yauth-${TOKEN}`)
  assert.equal(await open(`${url}?token=${TOKEN}`, []), '')
  assert.equal(await open(url, [`yauth-${TOKEN}x`, 'y']), 401)
  assert.equal(await open(url, []), 401)
})

test('a stock provider carries it in the query or as a subprotocol', async (t) => {
  const { server } = await guarded(t)
  for (const options of [{ params: { token: TOKEN } }, { protocols: [`yauth-${TOKEN}`, 'sheaf'] }]) {
    const doc = new Y.Doc()
    const provider = new WebsocketProvider(server.ws, 'room', doc, {
      WebSocketPolyfill: WebSocket,
      disableBc: true,
      ...options
    })
    await until(() => provider.synced, 'synced')
    provider.destroy()
    // Its awareness keeps a timer, and so the process, until its document goes.
    doc.destroy()
  }
})

test('a stock provider stops for good when its token is taken away', async (t) => {
  const { server, configure } = await guarded(t)
  const doc = new Y.Doc()
  const provider = new WebsocketProvider(server.ws, 'room', doc, {
    WebSocketPolyfill: WebSocket,
    disableBc: true,
    params: { token: TOKEN }
  })
  t.after(() => {
    provider.destroy()
    doc.destroy()
  })
  const codes = []
  provider.on('connection-close', (event) => codes.push(event?.code))
  await until(() => provider.synced, 'synced')
  await configure(BOB)
  await until(() => codes.length > 0, 'closed')
  assert.deepEqual(codes, [4401])
  await until(() => !provider.shouldConnect, 'it does not come again')
})
