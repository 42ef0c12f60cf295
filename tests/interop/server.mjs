// The real `sheaf` binary (BIN_SHEAF, else cargo's debug build) as a test sees it: a process on a
// free loopback port with a data directory of its own, that can be killed and started again on the
// same port.
import { spawn } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { until } from './until.mjs'

const ROOT = fileURLToPath(new URL('../../', import.meta.url))
export const BINARY =
  process.env.BIN_SHEAF ?? resolve(ROOT, process.env.CARGO_TARGET_DIR ?? 'target', 'debug/sheaf')
const START_MS_MAX = 20_000
const STOP_MS_MAX = 15_000
const LOG_LINES_MAX = 60

export class Server {
  /**
   * Starts a server with a new data directory. `args` are added to its command line, `env` to its
   * environment.
   */
  static async start({ args = [], env = {} } = {}) {
    const server = new Server(await mkdtemp(join(tmpdir(), 'sheaf-interop-')), args, env)
    await server.restart()
    return server
  }

  /** As `start`, and the server goes when test `t` ends; its log is shown if the test failed. */
  static async for(t, options) {
    const server = await Server.start(options)
    t.after(async () => {
      await server.discard()
      if (t.passed === false) console.error(server.log.join('\n'))
    })
    return server
  }

  constructor(data, args, env) {
    this.data = data
    this.args = args
    this.env = env
    this.port = 0
    this.log = []
    this.child = null
  }

  /** `http://127.0.0.1:<port>` */
  get http() {
    return `http://127.0.0.1:${this.port}`
  }

  /** `ws://127.0.0.1:<port>`, the server address of a stock provider. */
  get ws() {
    return `ws://127.0.0.1:${this.port}`
  }

  /** Starts the process, on the port it had before if there was one. */
  async restart() {
    // The tests' own variables share the server's prefix, and are no settings of it.
    const own = Object.entries(process.env).filter(([name]) => !name.startsWith('SHEAF_'))
    const env = { ...Object.fromEntries(own), ...this.env }
    const child = spawn(
      BINARY,
      ['serve', '--listen', `127.0.0.1:${this.port}`, '--data', this.data, ...this.args],
      { env, stdio: ['ignore', 'pipe', 'pipe'] }
    )
    this.child = child
    let output = ''
    let failure = null
    const keep = (chunk) => {
      this.log.push(...String(chunk).split('\n').filter(Boolean))
      this.log.splice(0, this.log.length - LOG_LINES_MAX)
    }
    child.stdout.on('data', (chunk) => {
      output += chunk
      keep(chunk)
    })
    child.stderr.on('data', keep)
    child.on('error', (error) => {
      failure = error
    })
    const address = await until(
      () => {
        if (failure) throw failure
        if (child.exitCode !== null)
          throw new Error(`sheaf ended with ${child.exitCode}:\n${this.log.join('\n')}`)
        return /http:\/\/127\.0\.0\.1:(\d+)/.exec(output)
      },
      () => `an address on the standard output of sheaf:\n${this.log.join('\n')}`,
      START_MS_MAX
    )
    this.port = Number(address[1])
  }

  /** `kill -9`, and waits until the process is gone. */
  kill() {
    return this.#end('SIGKILL')
  }

  /** SIGTERM; gives the exit code. */
  stop() {
    return this.#end('SIGTERM')
  }

  /** Ends the process and removes its data. */
  async discard() {
    await this.#end('SIGKILL')
    await rm(this.data, { recursive: true, force: true })
  }

  async #end(signal) {
    const { child } = this
    if (child === null) return null
    this.child = null
    const gone = () => child.exitCode !== null || child.signalCode !== null
    if (!gone()) child.kill(signal)
    await until(gone, `the end of sheaf after ${signal}`, STOP_MS_MAX)
    return child.exitCode
  }
}
