// Replays an editing trace through several stock clients at once on the real server, kills it with
// `kill -9` in the middle if asked to, and compares every replica and the stored text with the
// trace's end; ends with 1 if they differ.
// `node replay.mjs [--trace PATH] [--seed N] [--clients N] [--kill]`
import { parseArgs } from 'node:util'
import WebSocket from 'ws'
import { Client, VERSIONS } from './families/ywebsocket.mjs'
import { replayConcurrent } from './replay-concurrent.mjs'
import { replaySequential } from './replay-sequential.mjs'
import { Server } from './server.mjs'
import { makeTrace, readTrace } from './trace.mjs'
import { until } from './until.mjs'

const ROOM = 'replayed trace'
const ARRIVAL_MS_MAX = 60_000
// How many edits go by before the sockets of this process get a turn, and how much may wait in one.
const EDITS_PER_BREATH = 32
const UNSENT_BYTES_MAX = 1 << 18

/** What the replays need to know of the world: progress, the kill, and the pace of the network. */
class Scene {
  constructor(server, total, kill) {
    this.server = server
    this.total = total
    this.killAt = kill ? Math.floor(total / 2) : Infinity
    this.killed = null
    this.breaths = 0
    this.shown = 0
    this.start = performance.now()
  }

  edited(done) {
    if (done >= this.killAt && this.killed === null) this.killed = this.killAndRestart(done)
    const percent = Math.floor((100 * done) / this.total)
    if (percent >= this.shown + 10) {
      this.shown = percent - (percent % 10)
      const seconds = (performance.now() - this.start) / 1000
      console.log(`${String(this.shown).padStart(4)} %  ${done} edits, ${seconds.toFixed(1)} s`)
    }
  }

  async killAndRestart(done) {
    const start = performance.now()
    await this.server.kill()
    console.log(`        kill -9 after ${done} edits`)
    await this.server.restart()
    this.downMs = performance.now() - start
    console.log(
      `        started again on port ${this.server.port} after ${this.downMs.toFixed(0)} ms`
    )
  }

  /** Gives the sockets a turn now and then, and waits while `client` has much unsent. */
  async drained(client) {
    const isFull = () => (client.provider.ws?.bufferedAmount ?? 0) > UNSENT_BYTES_MAX
    if (++this.breaths % EDITS_PER_BREATH !== 0 && !isFull()) return
    do await new Promise(setImmediate)
    while (isFull())
  }

  /** Waits until `condition()` holds; it can change only when an update comes to some client. */
  async arrived(client, condition) {
    const deadline = performance.now() + ARRIVAL_MS_MAX
    while (!condition()) {
      if (performance.now() > deadline)
        throw new Error(`an edit did not arrive within ${ARRIVAL_MS_MAX} ms`)
      await new Promise((resolve) => {
        const timer = setTimeout(resolve, 50)
        client.doc.once('update', () => {
          clearTimeout(timer)
          resolve()
        })
      })
    }
  }
}

/** A socket class that adds the bytes of all messages it gets to `counter.bytes`. */
const counting = (counter) =>
  class extends WebSocket {
    constructor(...args) {
      super(...args)
      this.on('message', (data) => {
        counter.bytes += data.byteLength
      })
    }
  }

/** Joins with a new client; gives the text, the time and the bytes that took. */
const join = async (server, version) => {
  const counter = { bytes: 0 }
  const start = performance.now()
  const client = new Client(server.ws, ROOM, { version, WebSocketPolyfill: counting(counter) })
  await client.synced(ARRIVAL_MS_MAX)
  const joined = { text: client.string, ms: performance.now() - start, bytes: counter.bytes }
  client.destroy()
  return joined
}

const shown = ({ label, text, isConnected, isSynced, closes }) =>
  `${label} has ${text.length} units, connected ${isConnected}, synced ${isSynced}, closed ${closes}`

const verdict = (text, expected) => {
  if (text === expected) return 'equal'
  const at = [...expected].findIndex((letter, index) => letter !== text[index])
  return `DIFFERENT (${text.length} of ${expected.length} units, first at ${at})`
}

const table = (rows) => {
  const width = Math.max(...rows.map(([name]) => name.length))
  for (const [name, value] of rows) console.log(`${name.padEnd(width)}  ${value}`)
}

const run = async () => {
  const { values } = parseArgs({
    options: {
      trace: { type: 'string' },
      seed: { type: 'string', default: '1' },
      clients: { type: 'string', default: '4' },
      kill: { type: 'boolean', default: false }
    }
  })
  const trace = values.trace ? await readTrace(values.trace) : makeTrace(Number(values.seed))
  const count = Math.max(Number(values.clients), trace.agents, 1)
  const server = await Server.start()
  const clients = []
  try {
    for (let at = 0; at < count; at++) {
      clients.push(new Client(server.ws, ROOM, { version: VERSIONS[at % VERSIONS.length] }))
    }
    await Promise.all(clients.map((client) => client.synced()))
    const kind =
      trace.agents > 0 ? `concurrent, ${trace.agents} writers` : 'sequential, clients take turns'
    console.log(
      `${trace.name}: ${trace.txns.length} transactions, ${kind}, through ${count} stock clients`
    )

    const scene = new Scene(server, trace.txns.length, values.kill)
    await (trace.agents > 0 ? replayConcurrent : replaySequential)(trace, clients, scene)
    await scene.killed
    const typedMs = performance.now() - scene.start
    await until(
      () => clients.every(({ text }) => text.length === clients[0].text.length),
      () => `one length everywhere: ${clients.map(shown).join('; ')}`,
      ARRIVAL_MS_MAX
    )
    const isEqual = () => clients.every(({ string }) => string === trace.endContent)
    await until(isEqual, 'the end content everywhere', ARRIVAL_MS_MAX).catch(() => {})
    const replayedMs = performance.now() - scene.start
    const replicas = clients.map((client) => [
      `replica (y-websocket ${client.version})`,
      verdict(client.string, trace.endContent)
    ])
    clients.forEach((client) => client.destroy())

    await server.kill()
    const start = performance.now()
    await server.restart()
    const startMs = performance.now() - start
    const stored = await join(server, '3.1.0')
    const again = await join(server, '1.5.4')

    console.log('')
    table([
      ['transactions', String(trace.txns.length)],
      [
        'typed in',
        `${(typedMs / 1000).toFixed(1)} s (${Math.round((1000 * trace.txns.length) / typedMs)} a second)`
      ],
      ['all replicas complete after', `${(replayedMs / 1000).toFixed(1)} s`],
      [
        'killed in the middle',
        scene.killed === null ? 'no' : `yes, down for ${scene.downMs.toFixed(0)} ms`
      ],
      ['start after the last kill -9', `${startMs.toFixed(0)} ms`],
      ['join, first (document loaded)', `${stored.ms.toFixed(0)} ms, ${stored.bytes} bytes`],
      ['join, second', `${again.ms.toFixed(0)} ms, ${again.bytes} bytes`],
      ...replicas,
      ['stored text', verdict(stored.text, trace.endContent)]
    ])
    const texts = [
      ...replicas.map(([, said]) => said),
      verdict(stored.text, trace.endContent),
      verdict(again.text, trace.endContent)
    ]
    return texts.every((said) => said === 'equal')
  } catch (error) {
    console.error(server.log.join('\n'))
    throw error
  } finally {
    clients.forEach((client) => client.destroy())
    await server.discard()
  }
}

const equal = await run()
console.log(equal ? '\nEvery replica and the stored text equal the trace’s end.' : '\nNOT EQUAL.')
process.exit(equal ? 0 : 1)
