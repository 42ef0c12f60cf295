// Names of rooms as stock clients send them: unescaped, in the path, in any script; and vaults.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { newRoom } from './families/replica.mjs'
import { Client, VERSIONS } from './families/ywebsocket.mjs'
import { Server } from './server.mjs'

const NAMES = [
  'with spaces in it',
  'a/b/c',
  'ümläut',
  '日本語/メモ',
  'emoji 🌾',
  'dots.and-dashes_',
  'healthz',
  'metrics',
  'per%20cent',
  'plus+and&amp',
  'a'.repeat(300)
]

test('each name is a document of its own, for every generation of clients', async (t) => {
  const server = await Server.for(t)
  const pairs = []
  for (const name of NAMES) {
    const writer = await Client.for(t, server.ws, name, { version: VERSIONS[pairs.length % 3] })
    writer.text.insert(0, name)
    pairs.push([name, writer])
  }
  for (const [name] of pairs) {
    const reader = await Client.for(t, server.ws, name, { version: '3.1.0' })
    await reader.has(name)
  }
})

test('an escaped and an unescaped name are the same room', async (t) => {
  const server = await Server.for(t)
  const plain = await Client.for(t, server.ws, 'two words/ä')
  const escaped = await Client.for(t, server.ws, 'two%20words/%C3%A4')
  plain.text.insert(0, 'same')
  await escaped.has('same')
})

test('a named vault is served below its address and kept apart from the default one', async (t) => {
  const server = await Server.for(t)
  const room = newRoom('plans/2027')
  const url = (vault) => `${server.ws}/v1/vaults/${vault}/docs`
  const ann = await Client.for(t, url('garden'), room)
  const ben = await Client.for(t, url('garden'), room, { version: '1.5.4' })
  const other = await Client.for(t, url('kitchen'), room)
  const plain = await Client.for(t, server.ws, room)
  ann.text.insert(0, 'beds')
  await ben.has('beds')
  other.text.insert(0, 'shelves')
  plain.text.insert(0, 'default')
  const fresh = await Promise.all(
    [url('garden'), url('kitchen'), server.ws].map((at) => Client.for(t, at, room))
  )
  await fresh[0].has('beds')
  await fresh[1].has('shelves')
  await fresh[2].has('default')
  const byName = await Client.for(t, url('default'), room)
  await byName.has('default')
  assert.equal(ben.string, 'beds')
})
