// The client matrix: every stock client × everything it must be able to do, and all together.
// The outcome goes to `out/matrix.json`; `matrix-table.mjs` makes the table in the README of it.
import { mkdir, writeFile } from 'node:fs/promises'
import { after, describe, test } from 'node:test'
import { CLIENTS } from './families/all.mjs'
import { newRoom } from './families/replica.mjs'
import { COLUMNS } from './matrix-columns.mjs'
import { Server } from './server.mjs'
import { until } from './until.mjs'

const OUT = new URL('./out/', import.meta.url)
const TOGETHER = 'all in one document'
// Eight clients that wait for each other's reconnections, of which the slowest takes seconds.
const TOGETHER_MS_MAX = 30_000

/** `rows[client][column]`: whether it passed; null where the client has no such thing. */
const rows = new Map(CLIENTS.map(({ label }) => [label, {}]))
const note = (client, column, value) => {
  rows.get(client.label)[column] = value
}

after(async () => {
  await mkdir(OUT, { recursive: true })
  const columns = [...COLUMNS.map(({ name }) => name), TOGETHER]
  const clients = CLIENTS.map(({ family, version, label }) => ({
    family,
    version,
    columns: rows.get(label)
  }))
  await writeFile(new URL('matrix.json', OUT), JSON.stringify({ columns, clients }, null, 2))
})

for (const client of CLIENTS) {
  describe(client.label, { concurrency: true }, () => {
    for (const { name, run, only } of COLUMNS) {
      if (only && !only(client)) {
        note(client, name, null)
        continue
      }
      test(`${client.label}: ${name}`, async (t) => {
        note(client, name, false)
        await run(t, client)
        note(client, name, true)
      })
    }
  })
}

test('clients of all families write in one document at once, also over kill -9', async (t) => {
  const server = await Server.for(t)
  const room = newRoom()
  for (const client of CLIENTS) note(client, TOGETHER, false)
  const all = await Promise.all(CLIENTS.map((client) => client.connect(t, server, room)))
  all.forEach((client) => client.named(client.label))
  const everybody = () => all.every((one) => all.every((other) => one.sees(other) === other.label))
  const written = (words) => {
    all.forEach((client) => client.append(`${client.label} ${words}. `))
    const isThere = (client) =>
      all.every(({ label }) => client.string.includes(`${label} ${words}`))
    return until(
      () => all.every(isThere) && all.every((client) => client.string === all[0].string),
      () => all.map((one) => `"${words}" in ${one.label}, which has ${one.string}`).join('\n'),
      TOGETHER_MS_MAX
    )
  }
  await written('came')
  await until(everybody, 'all names everywhere', TOGETHER_MS_MAX)
  await server.kill()
  await until(() => all.every((client) => !client.isConnected), 'the end noticed')
  const outage = written('was cut off')
  await server.restart()
  await outage
  await until(everybody, 'all names everywhere again', TOGETHER_MS_MAX)
  await Promise.all(all.filter(({ unsaved }) => unsaved !== null).map((client) => client.saved()))
  for (const client of CLIENTS) note(client, TOGETHER, true)
})
