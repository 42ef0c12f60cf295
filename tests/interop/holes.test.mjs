// Documents with holes: stock Yjs keeps an update whose predecessor it lacks, and sends it along in
// SyncStep2 behind a Skip. That is legal, and must neither lose text nor poison the document.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as Y from 'yjs'
import { newRoom } from './families/replica.mjs'
import { Client } from './families/ywebsocket.mjs'
import { Server } from './server.mjs'
import { until } from './until.mjs'

/** The updates of one writer who typed `parts` one after the other. */
const writtenInParts = (parts) => {
  const doc = new Y.Doc()
  const updates = []
  doc.on('update', (update) => updates.push(update))
  for (const part of parts) doc.getText('content').insert(doc.getText('content').length, part)
  doc.destroy()
  return updates
}

const holding = (...updates) => {
  const doc = new Y.Doc()
  for (const update of updates) Y.applyUpdate(doc, update)
  return doc
}

test('a client with a hole is filled by what the server holds', async (t) => {
  const server = await Server.for(t)
  const room = newRoom()
  const [one, two, three] = writtenInParts(['one ', 'two ', 'three'])
  await Client.for(t, server.ws, room, { doc: holding(one, two) })
  const doc = holding(one, three)
  assert.equal(doc.getText('content').toString(), 'one ')
  assert.notEqual(doc.store.pendingStructs, null)
  const holed = await Client.for(t, server.ws, room, { doc })
  await holed.has('one two three')
  const late = await Client.for(t, server.ws, room)
  await late.has('one two three')
})

test('a hole that nobody fills costs nobody else anything, and heals once filled', async (t) => {
  const server = await Server.for(t)
  const room = newRoom()
  const [one, two, three] = writtenInParts(['one ', 'two ', 'three'])
  const reader = await Client.for(t, server.ws, room, { version: '2.1.0' })
  const holed = await Client.for(t, server.ws, room, { doc: holding(one, three) })
  await reader.has('one ')
  await server.kill()
  await server.restart()
  const late = await Client.for(t, server.ws, room)
  assert.equal(late.string, 'one ')
  late.doc.getMap('side').set('still', 'working')
  await until(() => reader.doc.getMap('side').get('still') === 'working', 'an edit beside the hole')

  await Client.for(t, server.ws, room, { doc: holding(one, two) })
  await until(
    () => reader.string.startsWith('one two '),
    () => `the middle part: ${reader.string}`
  )
  // The holder of the last part brings it with its next sync.
  holed.provider.disconnect()
  holed.provider.connect()
  await Promise.all([
    holed.has('one two three'),
    reader.has('one two three'),
    late.has('one two three')
  ])
})

test('deletions that travel with a hole are applied once, and to the right text', async (t) => {
  const server = await Server.for(t)
  const room = newRoom()
  const source = new Y.Doc()
  const updates = []
  source.on('update', (update) => updates.push(update))
  const text = source.getText('content')
  text.insert(0, 'keep ')
  text.insert(5, 'gone ')
  text.insert(10, 'end')
  text.delete(5, 5)
  const [keep, gone, end, deletion] = updates
  await Client.for(t, server.ws, room, { doc: holding(keep, gone) })
  const holed = await Client.for(t, server.ws, room, { doc: holding(keep, end, deletion) })
  await holed.has('keep end')
  const late = await Client.for(t, server.ws, room)
  await late.has('keep end')
})
