// The stock Y-Sweet client, unmodified, in Node, with its SDK in the place of the app's server,
// which gives each client its token.
import { DocumentManager } from '@y-sweet/sdk'
import { createYjsProvider } from '@y-sweet/client'
import WebSocket from 'ws'
import { newDoc, Replica } from './replica.mjs'

export const FAMILY = 'y-sweet'
export const VERSIONS = ['0.9.1']

const FOREVER = new Promise(() => {})

/** The SDK for the server at `url` (`ws://…`); `serverToken` where it asks for one. */
export const managerFor = (url, serverToken) => {
  const { host } = new URL(url)
  return new DocumentManager(`ys://${serverToken ? `${serverToken}@` : ''}${host}`)
}

export class Client extends Replica {
  /**
   * A client of the document `docId` of the server at `url`, which is made if it does not exist.
   * `authorization` is `full`, `read-only` or `none` (a token that is worth nothing), for the user
   * `userId` if there is one. What the app's server asks goes to `appUrl` (default: `url`), the socket to `url`.
   */
  constructor(
    url,
    docId,
    { version = '0.9.1', doc = newDoc(), authorization = 'full', userId, serverToken, appUrl = url } = {}
  ) {
    super(FAMILY, version, doc)
    this.authorization = authorization
    this.refusals = []
    this.localChangesSeen = []
    const manager = managerFor(appUrl, serverToken)
    const host = new URL(url).host
    this.authorize = async () => {
      if (this.isGone) return FOREVER
      const wanted = this.authorization === 'none' ? 'full' : this.authorization
      const token = await manager.getOrCreateDocAndToken(docId, { authorization: wanted, userId })
      if (this.authorization === 'none') token.token = 'worthless'
      const socket = new URL(token.url)
      socket.host = host
      return { ...token, url: socket.toString() }
    }
    this.provider = createYjsProvider(doc, docId, () => this.authorize(), {
      WebSocketPolyfill: this.watched(WebSocket),
      showDebuggerLink: false
    })
    this.provider.on('connection-error', ({ message }) => this.refusals.push(message))
    this.provider.on('local-changes', (some) => this.localChangesSeen.push(some))
    this.awareness = this.provider.awareness
  }

  /** As the constructor; ready when synced, and gone when test `t` ends. */
  static async for(t, url, docId, options) {
    const client = new Client(url, docId, options)
    t.after(() => client.destroy())
    if (options?.connect !== false) await client.synced()
    return client
  }

  get isConnected() {
    return this.provider.wsconnected
  }
  get isSynced() {
    return this.provider.synced
  }
  get unsaved() {
    return this.provider.hasLocalChanges
  }
  /** The upgrade is refused, with a status that `ws` puts into its error. */
  get wasDenied() {
    return this.refusals.some((message) => message.includes('401'))
  }

  /** The app's server lets the client in when it asks for its next token. */
  allow() {
    this.authorization = 'full'
  }

  /** `destroy` of 0.9.1 leaves a loop that connects for ever: here it ends. */
  destroy() {
    this.isGone = true
    this.provider.connect = () => {}
    this.provider.reconnectSleeper?.wake()
    this.provider.destroy()
    this.awareness.destroy()
    this.doc.destroy()
  }
}
