// What versions, uploads and the feed cost, on a server of its own. Called by `make history` with
// BIN_SHEAF, a release build. Prints one table; compare the rows of one run with each other.

import { spawn, execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { Agent, request } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

const FILES = 1_000
const VERSIONS = Number(process.env.VERSIONS ?? 100_000)
const AT_ONCE = 64
const READERS = 50
const WRITES = 1_000

const data = mkdtempSync(join(process.env.MEASURE_DIR ?? tmpdir(), 'sheaf-history-'))
const server = spawn(process.env.BIN_SHEAF, ['serve', '--listen', '127.0.0.1:0', '--data', data], {
  env: { ...process.env, SHEAF_LIMITS__RATE_REQUESTS_PER_USER_PER_S: '0' }
})
const ended = new Promise((resolve) => server.once('exit', resolve))
const port = await new Promise((resolve, reject) => {
  let said = ''
  const hear = (chunk) => {
    said += chunk
    const found = said.match(/http:\/\/127\.0\.0\.1:(\d+)/)
    if (found) resolve(Number(found[1]))
  }
  server.stdout.on('data', hear)
  server.stderr.on('data', hear)
  server.once('exit', () => reject(new Error(said)))
})
const agent = new Agent({ keepAlive: true, maxSockets: AT_ONCE })

const ask = (method, path, body, headers = {}) => new Promise((resolve, reject) => {
  const asked = request({ port, method, path: `/v1/vaults/measured${path}`, agent, headers: {
    ...(body === undefined ? {} : { 'content-type': 'text/plain; charset=utf-8', 'content-length': Buffer.byteLength(body) }),
    ...headers
  } }, (answer) => {
    const chunks = []
    answer.on('data', (chunk) => chunks.push(chunk))
    answer.on('end', () => {
      const text = Buffer.concat(chunks).toString()
      if (answer.statusCode >= 300) return reject(new Error(`${method} ${path}: ${answer.statusCode} ${text}`))
      resolve(text)
    })
  })
  asked.on('error', reject)
  asked.end(body)
})
const put = async (path, body, headers) => JSON.parse(await ask('PUT', `/files/${path}`, body, headers))

const at = (sorted, part) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))]
const rows = []
const row = (what, value) => {
  rows.push([what, value])
  console.log(`${what.padEnd(58)} ${value}`)
}
const times = async (rounds, run) => {
  const took = []
  for (let round = 0; round < rounds; round += 1) {
    const begun = performance.now()
    await run(round)
    took.push(performance.now() - begun)
  }
  return took.sort((one, other) => one - other)
}
const shown = (took) => `median ${at(took, 0.5).toFixed(1)} ms, p99 ${at(took, 0.99).toFixed(1)} ms`

let state = 7
const draw = (below) => {
  state = (Math.imul(state, 1103515245) + 12345) >>> 0
  return (state >>> 8) % below
}
const words = ['sheaf', 'river', 'slowly', 'under', 'a', 'bridge', 'of', 'stone', 'and', 'light', 'turns']
const line = () => Array.from({ length: 12 }, () => words[draw(words.length)]).join(' ') + '\n'
const text = (bytes) => {
  let made = ''
  while (made.length < bytes) made += line()
  return made
}

// Uploads.
{
  const small = text(200)
  await put('small.md', small)
  row('upload of 200 bytes that changes a word', shown(await times(100, (round) => put('small.md', small + round))))
  const lines = text(100_000).split('\n')
  const base = (await put('large.md', lines.join('\n'))).version
  const edited = (round) => {
    const copy = [...lines]
    copy[draw(copy.length)] += ` edit ${round}`
    return copy.join('\n')
  }
  row('upload of 100 KB with a small edit, without a base', shown(await times(40, (round) => put('large.md', edited(round)))))
  const merged = await times(40, (round) => put('large.md', edited(round), { 'sheaf-base': String(base) }))
  row('the same made of a version 40 to 80 changes ago, merged', shown(merged))
}

// Reading a version.
for (const bytes of [10_000, 100_000, 1_000_000]) {
  const path = `read-${bytes}.md`
  const lines = text(bytes).split('\n')
  const seen = []
  for (let round = 0; round < 200; round += 1) {
    lines[draw(lines.length)] += ` edit ${round}`
    seen.push((await put(path, lines.join('\n'))).version)
  }
  const read = await times(60, () => ask('GET', `/files/${path}?at=${seen[draw(seen.length)]}`))
  const now = await times(60, () => ask('GET', `/files/${path}`))
  row(`read at N, ${bytes / 1000} KB, any of 200 versions`, `${shown(read)}; as it is now ${at(now, 0.5).toFixed(1)} ms`)
}

// The feed: from the answer to a write until a reader has the event.
{
  const acked = new Map()
  const late = []
  const streams = await Promise.all(Array.from({ length: READERS }, () => new Promise((resolve, reject) => {
    const asked = request({ port, path: '/v1/vaults/measured/changes?since=0', headers: { accept: 'text/event-stream' } }, (answer) => {
      let rest = ''
      const seen = new Map()
      answer.setEncoding('utf8')
      answer.on('data', (chunk) => {
        const now = performance.now()
        rest += chunk
        const parts = rest.split('\n\n')
        rest = parts.pop()
        for (const part of parts) {
          const id = part.match(/^id: ?\d+\.(\d+)$/m)
          if (id) seen.set(Number(id[1]), now)
        }
      })
      resolve({ asked, seen })
    })
    asked.on('error', reject)
    asked.end()
  })))
  for (let write = 0; write < WRITES; write += 1) {
    const { version } = await put(`feed-${write % 20}.md`, `write ${write}`)
    acked.set(version, performance.now())
  }
  const last = Math.max(...acked.keys())
  const deadline = performance.now() + 10_000
  while (performance.now() < deadline && streams.some(({ seen }) => !seen.has(last))) {
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
  let missed = 0
  for (const { seen } of streams) {
    for (const [version, moment] of acked) {
      if (!seen.has(version)) missed += 1
      else late.push(Math.max(0, seen.get(version) - moment))
    }
  }
  streams.forEach(({ asked }) => asked.destroy())
  late.sort((one, other) => one - other)
  row(`${READERS} SSE readers, ${WRITES} writes: from the answer to the event`, `${shown(late)}; ${missed} not told singly`)
}

// What versions take on the disk.
{
  const size = () => Number(execFileSync('du', ['-sb', data]).toString().split('\t')[0])
  const before = size()
  const contents = Array.from({ length: FILES }, () => text(150))
  let raw = 0
  let next = 0
  const begun = performance.now()
  const worker = async () => {
    for (;;) {
      const number = next
      next += 1
      if (number >= VERSIONS) return
      const file = number % FILES
      const lines = contents[file].split('\n')
      lines[draw(lines.length)] = line().trim()
      contents[file] = lines.join('\n')
      raw += contents[file].length
      await put(`many/${file}.md`, contents[file])
    }
  }
  await Promise.all(Array.from({ length: AT_ONCE }, worker))
  const seconds = (performance.now() - begun) / 1000
  row(`${VERSIONS} versions of ${FILES} files, written`, `${(VERSIONS / seconds).toFixed(0)} a second`)
  server.kill('SIGTERM')
  await ended
  const grown = size() - before
  row('their contents, one after the other', `${(raw / 1e6).toFixed(1)} MB`)
  row('the data directory grew by', `${(grown / 1e6).toFixed(1)} MB, ${(grown / raw).toFixed(2)} of that`)
}
rmSync(data, { recursive: true })
