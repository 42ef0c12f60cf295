// An idle document: stock clients close a connection that is silent for 30 s, so the server may not
// be. This is the one test that watches a clock, because the clients' own watchdogs do.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { newRoom } from './families/replica.mjs'
import { Client, VERSIONS } from './families/ywebsocket.mjs'
import { Server } from './server.mjs'
import { until } from './until.mjs'

const WATCH_MS = 34_000
// The clients look every 3 s: this leaves them one look to spare.
const SILENCE_MS_MAX = 25_000

test('idle clients of every generation hear something often enough and stay', async (t) => {
  const server = await Server.for(t)
  // Each in a room of its own: nobody else's presence may keep it alive.
  const clients = await Promise.all(
    VERSIONS.map((version) => Client.for(t, server.ws, newRoom(), { version }))
  )
  const start = performance.now()
  const heard = clients.map(() => start)
  const silence = clients.map(() => 0)
  clients.forEach((client, at) =>
    client.provider.ws.addEventListener('message', () => {
      silence[at] = Math.max(silence[at], performance.now() - heard[at])
      heard[at] = performance.now()
    })
  )
  await until(() => performance.now() - start > WATCH_MS, 'the end of the watch', WATCH_MS + 5000)
  clients.forEach((client, at) => {
    const longest = Math.max(silence[at], performance.now() - heard[at])
    assert.deepEqual(client.closes, [], `client ${client.version} was closed`)
    assert.ok(
      longest < SILENCE_MS_MAX,
      `client ${client.version} heard nothing for ${longest.toFixed(0)} ms`
    )
  })
})
