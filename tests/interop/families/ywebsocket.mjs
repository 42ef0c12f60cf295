// Stock y-websocket clients of three generations, unmodified, in Node, and the release candidate of
// the fourth, which goes with a Yjs of its own.
import { WebsocketProvider as Provider4 } from '@y/websocket'
import { Doc as Doc14 } from '@y/y'
import WebSocket from 'ws'
import { WebsocketProvider as Provider1 } from 'yws1'
import { WebsocketProvider as Provider2 } from 'yws2'
import { WebsocketProvider as Provider3 } from 'yws3'
import { newDoc, Replica } from './replica.mjs'

const STABLE = { '1.5.4': Provider1, '2.1.0': Provider2, '3.1.0': Provider3 }
export const FAMILY = 'y-websocket'
export const VERSIONS = Object.keys(STABLE)
/** `@y/websocket`, on Yjs 14. */
export const NEXT = '4.0.0-3'
const PROVIDERS = { ...STABLE, [NEXT]: Provider4 }

export class Client extends Replica {
  /**
   * A client of y-websocket `version` in `room` of the server at `url`; `doc` may bring content.
   * It connects at once unless `connect` is false.
   */
  constructor(
    url,
    room,
    {
      version = '3.1.0',
      doc = version === NEXT ? new Doc14() : newDoc(),
      connect = true,
      params = {},
      WebSocketPolyfill = WebSocket
    } = {}
  ) {
    super(FAMILY, version, doc)
    this.provider = new PROVIDERS[version](url, room, doc, {
      WebSocketPolyfill: this.watched(WebSocketPolyfill),
      disableBc: true,
      connect,
      params
    })
    this.awareness = this.provider.awareness
    this.refusals = 0
    this.provider.on('connection-error', () => this.refusals++)
  }

  /** As the constructor; ready when synced, and gone when test `t` ends. */
  static async for(t, url, room, options) {
    const client = new Client(url, room, options)
    t.after(() => client.destroy())
    if (options?.connect !== false) await client.synced()
    return client
  }

  get text() {
    return this.version === NEXT ? this.doc.get('content') : super.text
  }
  get isConnected() {
    return this.provider.wsconnected
  }
  get isSynced() {
    return this.provider.synced
  }
  /** These clients are told nothing about it. */
  get unsaved() {
    return null
  }
  /** A refused upgrade is all they get to know. */
  get wasDenied() {
    return this.refusals > 0 && !this.provider.synced
  }

  /** From its next try on the client carries `token`. */
  allow(token) {
    if (this.provider.params) this.provider.params.token = token
    else this.provider.url = this.provider.url.replace(/token=[^&]*/, `token=${token}`)
  }

  destroy() {
    this.provider.destroy()
    this.doc.destroy()
  }
}
