// A TCP proxy that stands between a client and the server and breaks in two ways: at both ends, or
// at the client's end only, so that the server still believes in the connection.
import { connect, createServer } from 'node:net'

export class Proxy {
  /** A proxy to the loopback port `target`, gone when test `t` ends. */
  static async for(t, target) {
    const proxy = new Proxy(target)
    await new Promise((resolve) => proxy.listener.listen(0, '127.0.0.1', resolve))
    t.after(() => proxy.close())
    return proxy
  }

  constructor(target) {
    this.pairs = new Set()
    this.isDown = false
    this.listener = createServer((near) => {
      if (this.isDown) return near.on('error', () => {}).destroy()
      const far = connect(target, '127.0.0.1')
      const pair = { near, far, halfOpen: false }
      this.pairs.add(pair)
      near.pipe(far, { end: false })
      far.pipe(near, { end: false })
      for (const socket of [near, far]) socket.on('error', () => {})
      near.on('close', () => {
        if (!pair.halfOpen) far.destroy()
      })
      far.on('close', () => {
        near.destroy()
        this.pairs.delete(pair)
      })
    })
  }

  get ws() {
    return `ws://127.0.0.1:${this.listener.address().port}`
  }

  /** Breaks all connections; both ends notice. */
  cut() {
    for (const { near, far } of this.pairs) {
      near.destroy()
      far.destroy()
    }
  }

  /** Breaks all connections at the client's end; the server is told nothing. */
  cutInSilence() {
    for (const pair of this.pairs) {
      pair.halfOpen = true
      pair.near.destroy()
    }
  }

  /** Breaks all connections, and lets none through before `up`. */
  down() {
    this.isDown = true
    this.cut()
  }

  up() {
    this.isDown = false
  }

  close() {
    this.cut()
    this.listener.close()
  }
}
