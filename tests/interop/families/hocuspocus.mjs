// Stock Hocuspocus providers of three generations, unmodified, in Node. One socket may carry many
// of them: `socketFor` gives one, and `socket` hands it to each.
import WebSocket from 'ws'
import * as hp2 from 'hp2'
import * as hp3 from 'hp3'
import * as hp4 from 'hp4'
import { newDoc, Replica } from './replica.mjs'

const LIBRARIES = { '2.15.3': hp2, '3.4.4': hp3, '4.8.0': hp4 }
export const FAMILY = 'hocuspocus'
export const VERSIONS = Object.keys(LIBRARIES)
/** Those that can have one document twice on one socket. */
export const SESSION_VERSIONS = ['4.8.0']

/** One socket of provider `version` to the server at `url`, gone when test `t` ends. */
export const socketFor = (t, url, version) => {
  const socket = newSocket(url, version, WebSocket)
  t.after(() => ended(socket))
  return socket
}

/** `destroy` of 3.4.4, called soon after a cut, leaves a timer that connects for ever: here it ends. */
const ended = (socket) => {
  socket.connect = async () => {}
  socket.destroy()
}

const newSocket = (url, version, WebSocketPolyfill) =>
  new LIBRARIES[version].HocuspocusProviderWebsocket({ url, WebSocketPolyfill })

export class Client extends Replica {
  /**
   * A provider of Hocuspocus `version` for the document `name` of the server at `url`. It has a
   * socket of its own, unless `socket` brings one; `settings` go to the provider as they are.
   */
  constructor(
    url,
    name,
    { version = '4.8.0', doc = newDoc(), token = null, socket, settings = {} } = {}
  ) {
    super(FAMILY, version, doc)
    this.ownSocket = socket ? null : newSocket(url, version, this.watched(WebSocket))
    this.denials = []
    this.scope = null
    this.stateless = []
    this.unsyncedSeen = []
    this.provider = new LIBRARIES[version].HocuspocusProvider({
      websocketProvider: socket ?? this.ownSocket,
      name,
      document: doc,
      token,
      broadcast: false,
      onAuthenticationFailed: ({ reason }) => this.denials.push(reason),
      onAuthenticated: () => {
        this.scope = this.provider.authorizedScope
      },
      onStateless: ({ payload }) => this.stateless.push(payload),
      ...settings
    })
    this.provider.on('unsyncedChanges', () => this.unsyncedSeen.push(this.unsynced))
    // Since version 3 a provider on a socket that it did not make has to be attached.
    this.provider.attach?.()
    this.awareness = this.provider.awareness
  }

  /** As the constructor; ready when synced, and gone when test `t` ends. */
  static async for(t, url, name, options) {
    const client = new Client(url, name, options)
    t.after(() => client.destroy())
    if (options?.connect !== false) await client.synced()
    return client
  }

  get isConnected() {
    return this.provider.configuration.websocketProvider.status === 'connected'
  }
  get isSynced() {
    return this.provider.synced
  }
  /**
   * Changes that the server has not acknowledged, as the provider counts them. Version 2 counts
   * below zero when edits that it had queued while away are acknowledged besides its sync.
   */
  get unsynced() {
    return this.provider.unsyncedChanges
  }
  get unsaved() {
    return this.unsynced > 0
  }
  get wasDenied() {
    return this.denials.length > 0
  }

  /** Tries again with `token`, as Hocuspocus documents it. */
  allow(token) {
    const { provider } = this
    provider.configuration.token = token
    this.denials.length = 0
    if (this.version.startsWith('2.')) return provider.connect()
    return provider.sendToken().then(() => provider.startSync())
  }

  destroy() {
    this.provider.destroy()
    if (this.ownSocket) ended(this.ownSocket)
    this.doc.destroy()
  }
}
