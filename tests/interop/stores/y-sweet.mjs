// The store of a Y-Sweet server. Their package downloads its binary from where no test may depend
// on, so what the tests read was written by one beforehand: `node stores/y-sweet.mjs BINARY DIR`
// makes DIR anew, with `shown.json`, what its documents show. `fileOf` writes the same format.
import { spawn } from 'node:child_process'
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { Client, managerFor } from '../families/ysweet.mjs'
import { until } from '../until.mjs'
import { writeAll } from './contents.mjs'

/** Written by y-sweet 0.9.1. */
export const FIXTURE = fileURLToPath(new URL('../../fixtures/import/y-sweet', import.meta.url))

/** What the documents of a store made by `make` show, by name. */
export const shownIn = async (dir) => JSON.parse(await readFile(join(dir, 'shown.json')))

const PORT = 21_807

/** Makes `dir` by the server `binary`, with documents `kinds` (kind by name) and an empty one. */
export const make = async (binary, dir, kinds) => {
  await rm(dir, { recursive: true, force: true })
  const child = spawn(binary, ['serve', '--host', '127.0.0.1', '--port', String(PORT), dir], {
    stdio: ['ignore', 'pipe', 'pipe']
  })
  let output = ''
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (some) => (output += some))
  await until(
    () => output.includes('Listening'),
    () => `that y-sweet listens: ${output}`
  )
  const url = `ws://127.0.0.1:${PORT}`
  await managerFor(url).createDoc('empty')
  const shown = await writeAll(Client, url, kinds)
  // It stores what it has not stored yet.
  child.kill('SIGINT')
  await until(() => child.exitCode !== null, 'the end of y-sweet')
  await writeFile(join(dir, 'shown.json'), `${JSON.stringify(shown)}\n`)
  return shown
}

/** The bytes of a `data.ysweet` with these updates: the state, and what was pushed behind it. */
export const fileOf = ([state, ...pushed]) => {
  const number = [0, 0, 0, 1]
  const pairs = [
    [[0, 0, ...Buffer.from('doc'), 0], number],
    [[0, 1, ...number, 0], state],
    ...pushed.map((update, clock) => [[0, 1, ...number, 2, 0, 0, 0, clock, 0], update])
  ]
  const counted = (bytes) => [lengthOf(bytes.length), Buffer.from(bytes)]
  return Buffer.concat([lengthOf(pairs.length), ...pairs.flat().flatMap(counted)])
}

const lengthOf = (count) => {
  const bytes = Buffer.alloc(8)
  bytes.writeBigUInt64LE(BigInt(count))
  return bytes
}

/** Puts `updates` (lists by name), or bytes of a file, into `dir`. */
export const put = async (dir, updates) => {
  for (const [name, some] of Object.entries(updates)) {
    await mkdir(join(dir, name), { recursive: true })
    await writeFile(join(dir, name, 'data.ysweet'), Array.isArray(some) ? fileOf(some) : some)
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const [binary, dir] = process.argv.slice(2)
  await make(binary, dir, { text: 'text', map: 'map', xml: 'xml' })
}
