// Stock y-websocket clients of three generations, unmodified, in Node.
import WebSocket from 'ws'
import * as Y from 'yjs'
import { WebsocketProvider as Provider1 } from 'yws1'
import { WebsocketProvider as Provider2 } from 'yws2'
import { WebsocketProvider as Provider3 } from 'yws3'
import { until } from './until.mjs'

const PROVIDERS = { '1.5.4': Provider1, '2.1.0': Provider2, '3.1.0': Provider3 }
export const VERSIONS = Object.keys(PROVIDERS)

// Each provider listens for the end of the process.
process.setMaxListeners(0)

export class Client {
  /**
   * A client of y-websocket `version` in `room` of the server at `url`; `doc` may bring content.
   * It connects at once unless `connect` is false.
   */
  constructor(
    url,
    room,
    {
      version = '3.1.0',
      doc = new Y.Doc(),
      connect = true,
      params = {},
      WebSocketPolyfill = WebSocket
    } = {}
  ) {
    this.version = version
    this.doc = doc
    this.provider = new PROVIDERS[version](url, room, doc, {
      WebSocketPolyfill,
      disableBc: true,
      connect,
      params
    })
    this.awareness = this.provider.awareness
    this.closes = []
    this.provider.on('connection-close', (event) => this.closes.push(event?.code ?? null))
  }

  /** As the constructor; ready when synced, and gone when test `t` ends. */
  static async for(t, url, room, options) {
    const client = new Client(url, room, options)
    t.after(() => client.destroy())
    if (options?.connect !== false) await client.synced()
    return client
  }

  get text() {
    return this.doc.getText('content')
  }
  get string() {
    return this.text.toString()
  }

  /** Waits until the server's state has been merged. */
  synced(deadlineMs) {
    return until(
      () => this.provider.synced,
      () => `sync of client ${this.version} (closed with ${this.closes})`,
      deadlineMs
    )
  }

  /** Waits until the document's text is `expected`. */
  async has(expected, deadlineMs) {
    await until(
      () => this.string === expected,
      () => `${shorten(expected)} in client ${this.version}, which has ${shorten(this.string)}`,
      deadlineMs
    )
  }

  /** The awareness state of `other` as this client sees it. */
  stateOf(other) {
    return this.awareness.getStates().get(other.doc.clientID)
  }

  destroy() {
    this.provider.destroy()
    this.doc.destroy()
  }
}

/** Waits until all clients hold the same text, and gives it. */
export const converged = async (clients, deadlineMs) => {
  await until(
    () => clients.every((client) => client.string === clients[0].string),
    () => `one text in all clients: ${clients.map((client) => shorten(client.string)).join(' / ')}`,
    deadlineMs
  )
  return clients[0].string
}

const shorten = (text) =>
  JSON.stringify(text.slice(0, 80)) + (text.length > 80 ? `… (${text.length})` : '')

let rooms = 0
/** A room name that no other test of this process uses. */
export const newRoom = (word = 'room') => `${word}-${process.pid}-${rooms++}`
