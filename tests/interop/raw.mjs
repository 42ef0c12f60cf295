// A WebSocket without a client behind it: it says what a test tells it to, and keeps what it hears.
import * as decoding from 'lib0/decoding'
import * as encoding from 'lib0/encoding'
import WebSocket from 'ws'
import { until } from './until.mjs'

export class Raw {
  /** A socket to `url`, open, and gone when test `t` ends. */
  static async open(t, url, options) {
    const raw = new Raw(url, options)
    t.after(() => raw.socket.terminate())
    await until(
      () => raw.isOpen || raw.isRefused,
      () => `an answer of ${url}`
    )
    return raw
  }

  constructor(url, options) {
    /** Every frame heard, as bytes. */
    this.heard = []
    this.isOpen = false
    /** The HTTP status of a refused upgrade. */
    this.status = null
    /** `{ code, reason }` once closed. */
    this.closed = null
    this.socket = new WebSocket(url, options)
    this.socket.on('open', () => (this.isOpen = true))
    this.socket.on('unexpected-response', (request, { statusCode }) => {
      this.status = statusCode
      request.destroy()
    })
    this.socket.on('error', () => {})
    this.socket.on('message', (bytes) => this.heard.push(new Uint8Array(bytes)))
    this.socket.on('close', (code, reason) => (this.closed = { code, reason: String(reason) }))
  }

  get isRefused() {
    return this.status !== null || this.closed !== null
  }

  /** Sends each frame; a closed socket sends nothing. */
  send(...frames) {
    for (const frame of frames) this.socket.send(frame, () => {})
  }

  /** Sends all frames by one write to the connection. */
  sendAtOnce(...frames) {
    const connection = this.socket._socket
    connection.cork()
    this.send(...frames)
    connection.uncork()
  }

  /** Waits until a frame is heard of which `found` gives something, and gives that. */
  hears(what, found, deadlineMs) {
    return until(
      () => {
        for (const frame of this.heard) {
          const value = found(frame)
          if (value) return value
        }
      },
      () => `${what}; heard ${this.heard.map(hex)}, closed ${JSON.stringify(this.closed)}`,
      deadlineMs
    )
  }

  /** Waits for the end of the connection, and gives its close code. */
  async ends(deadlineMs) {
    await until(() => this.closed, 'the end of the connection', deadlineMs)
    return this.closed.code
  }
}

const hex = (frame) => Buffer.from(frame.subarray(0, 40)).toString('hex')

/** Bytes from parts: numbers are varUints, strings varStrings, bytes get their length in front. */
export const frame = (...parts) =>
  encoding.encode((encoder) => {
    for (const part of parts) {
      if (typeof part === 'number') encoding.writeVarUint(encoder, part)
      else if (typeof part === 'string') encoding.writeVarString(encoder, part)
      else encoding.writeVarUint8Array(encoder, part)
    }
  })

/** The messages of Hocuspocus that these tests send, each with the document's `address`. */
export const hocuspocus = {
  token: (address, token) => frame(address, 2, 0, token),
  step1: (address, vector = Uint8Array.of(0)) => frame(address, 0, 0, vector),
  step2: (address, update) => frame(address, 0, 1, update),
  update: (address, update) => frame(address, 0, 2, update),
  awareness: (address, bytes) => frame(address, 1, bytes),
  stateless: (address, text) => frame(address, 5, text),
  broadcast: (address, text) => frame(address, 6, text),
  close: (address) => frame(address, 7),
  /** `{ address, type, payload }` of a frame that the server sent; null for a ping. */
  read(bytes) {
    if (bytes.length === 1) return null
    const decoder = decoding.createDecoder(bytes)
    const address = decoding.readVarString(decoder)
    const type = decoding.readVarUint(decoder)
    return { address, type, payload: bytes.subarray(decoder.pos) }
  }
}
