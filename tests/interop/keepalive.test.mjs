// An idle document: stock clients close a connection that is silent for 30 s, so the server may not
// be; and what it says then may not be what a client takes for an error, as Hocuspocus 2 and 3 do
// with the ping of 4. This is the one test that watches a clock, because the clients' own watchdogs
// do.
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { CLIENTS } from './families/all.mjs'
import { newRoom } from './families/replica.mjs'
import { Server } from './server.mjs'
import { until } from './until.mjs'

const WATCH_MS = 34_000
// The clients look every 3 s: this leaves them one look to spare.
const SILENCE_MS_MAX = 25_000

describe('idle clients hear something often enough and stay', { concurrency: true }, () => {
  for (const client of CLIENTS) {
    test(client.label, async (t) => {
      const server = await Server.for(t)
      // Alone in its document: nobody else's presence may keep it alive.
      const one = await client.connect(t, server, newRoom())
      const start = performance.now()
      const since = () => one.heard.filter((at) => at >= start)
      await until(
        () => performance.now() - start > WATCH_MS,
        'the end of the watch',
        WATCH_MS + 5000
      )
      assert.deepEqual(one.closes, [], 'it was closed')
      const times = [start, ...since(), performance.now()]
      const longest = Math.max(...times.slice(1).map((at, before) => at - times[before]))
      assert.ok(longest < SILENCE_MS_MAX, `nothing heard for ${longest.toFixed(0)} ms`)
    })
  }
})
