// The store of y-websocket's server, `@y/websocket-server` with YPERSISTENCE. The bytes that the Rust
// tests read were made by `node stores/y-websocket.mjs DIR`: two tables and a log, a document that
// was cleared, and a value that an application keeps.
import { spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { LeveldbPersistence } from 'y-leveldb'
import * as Y from 'yjs'
import { Client } from '../families/ywebsocket.mjs'
import { until } from '../until.mjs'
import { writeAll } from './contents.mjs'

const SCRIPT = fileURLToPath(new URL('y-websocket-server.mjs', import.meta.url))

/** Makes `dir`, with documents `kinds` (kind by name); gives what each of them shows. */
export const make = async (dir, kinds) => {
  const server = await start(dir)
  const shown = await writeAll(Client, server.url, kinds)
  await server.stop()
  return shown
}

/** A server on `dir`; `stop` ends it in order. */
export const start = async (dir) => {
  const env = { ...process.env, YPERSISTENCE: dir }
  const child = spawn(process.execPath, [SCRIPT], { env, stdio: ['pipe', 'pipe', 'inherit'] })
  let output = ''
  child.stdout.on('data', (chunk) => (output += chunk))
  const address = await until(() => /port (\d+)/.exec(output), 'the port of y-websocket’s server')
  return {
    url: `ws://127.0.0.1:${address[1]}`,
    stop() {
      child.stdin.end()
      return until(() => child.exitCode === 0, 'the end of y-websocket’s server')
    }
  }
}

/** Adds `updates` (lists by name) to `dir`, one record each. */
export const put = async (dir, updates) => {
  const store = new LeveldbPersistence(dir)
  for (const [name, list] of Object.entries(updates))
    for (const update of list) await store.storeUpdate(name, update)
  await store.destroy()
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const [dir] = process.argv.slice(2)
  await make(dir, { text: 'text' })
  const updates = []
  const doc = new Y.Doc()
  doc.on('update', (update) => updates.push(update))
  const text = doc.getText('content')
  for (const word of ['one ', 'two ', 'three']) text.insert(text.length, word)
  // Each time a database is opened, what its log has becomes a table.
  await put(dir, { 'a%20b': updates, gone: updates })
  text.delete(0, 4)
  const store = new LeveldbPersistence(dir)
  await store.clearDocument('gone')
  await store.setMeta('a%20b', 'k', { v: 1 })
  await store.storeUpdate('a%20b', updates.at(-1))
  await store.destroy()
}
