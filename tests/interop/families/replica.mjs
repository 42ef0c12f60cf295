// What every stock client has, whatever its family: a document, presence, and the words that tests
// use for them. The families are the other files of this folder; each exports `FAMILY`, `VERSIONS`
// and a class with a static `for(t, server, document, options)`.
import * as Y from 'yjs'
import { until } from '../until.mjs'

// Each provider listens for the end of the process.
process.setMaxListeners(0)

/**
 * A replica of `doc` held by a stock client. A family's class gives `provider`, `awareness` and:
 * `isConnected`, `isSynced` (the server's state has been merged), `unsaved` (whether the client
 * itself says that something is not saved; null where it cannot tell), `wasDenied`, `allow(token)`
 * and `destroy()`. `opens` and `heard` are when its sockets opened and heard something, in ms, and
 * `closes` the codes they closed with.
 */
export class Replica {
  constructor(family, version, doc) {
    this.family = family
    this.version = version
    this.doc = doc
    this.opens = []
    this.heard = []
    this.closes = []
  }

  get text() {
    return this.doc.getText('content')
  }
  get string() {
    return this.text.toString()
  }
  get label() {
    return `${this.family} ${this.version}`
  }

  /** Writes `words` behind the text. */
  append(words) {
    this.text.insert(this.text.length, words)
  }

  /** Waits until the server's state has been merged. */
  synced(deadlineMs) {
    return until(
      () => this.isSynced,
      () => `sync of ${this.label} (closed with ${this.closes})`,
      deadlineMs
    )
  }

  /** Waits until the client itself says that everything is saved. */
  saved(deadlineMs) {
    return until(
      () => this.unsaved === false,
      () => `${this.label} says that all is saved, it says ${this.unsaved}`,
      deadlineMs
    )
  }

  /** Waits until the document's text is `expected`. */
  async has(expected, deadlineMs) {
    await until(
      () => this.string === expected,
      () => `${shorten(expected)} in ${this.label}, which has ${shorten(this.string)}`,
      deadlineMs
    )
  }

  /** Shows the others a name. */
  named(name) {
    this.awareness.setLocalStateField('user', { name })
  }
  /** The awareness state of `other` as this client sees it. */
  stateOf(other) {
    return this.awareness.getStates().get(other.doc.clientID)
  }
  /** The name of `other` as this client sees it. */
  sees(other) {
    return this.stateOf(other)?.user?.name
  }

  /**
   * Notes when the sockets of the stock client open and how they close. Clients stop listening to a
   * socket that they give up while it connects; its error would end the process.
   */
  watched(Socket) {
    const { opens, heard, closes } = this
    return class extends Socket {
      constructor(...args) {
        super(...args)
        this.addEventListener('error', () => {})
        this.addEventListener('open', () => opens.push(performance.now()))
        this.addEventListener('message', () => heard.push(performance.now()))
        this.addEventListener('close', ({ code }) => closes.push(code))
      }
    }
  }
}

/** A document with nothing in it. */
export const newDoc = () => new Y.Doc()

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
/** A name of a document that no other test of this process uses; legal in every family. */
export const newRoom = (word = 'room') => `${word}-${process.pid}-${rooms++}`
