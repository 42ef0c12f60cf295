// Documents with holes: stock Yjs keeps an update whose predecessor it lacks, and sends it along in
// SyncStep2 behind a Skip. That is legal, and must neither lose text nor poison the document.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as decoding from 'lib0/decoding'
import * as Y from 'yjs'
import { newRoom } from './families/replica.mjs'
import { Client } from './families/ywebsocket.mjs'
import { frame, Raw } from './raw.mjs'
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

/** The update in a frame of y-websocket with this message, if it is one. */
const updateIn = (bytes, message) => {
  if (bytes[0] !== 0 || bytes[1] !== message) return
  const decoder = decoding.createDecoder(bytes.subarray(2))
  return decoding.readVarUint8Array(decoder)
}

/** A socket that has asked for `room`, and was answered. */
const asking = async (t, server, room) => {
  const raw = await Raw.open(t, `${server.ws}/${room}`)
  raw.send(frame(0, 0, Uint8Array.of(0)))
  await raw.hears('the answer', (bytes) => updateIn(bytes, 1))
  return raw
}

test('deletions that are sent as one delete the same before their content has come', async (t) => {
  const server = await Server.for(t)
  const room = newRoom()
  const [writer, reader] = [await asking(t, server, room), await asking(t, server, room)]
  const doc = new Y.Doc()
  const updates = []
  doc.on('update', (update) => updates.push(update))
  const text = doc.getText('content')
  text.insert(0, 'x'.repeat(1000))
  for (const at of [104, 103, 102, 101, 100]) text.delete(at, 1)
  const [content, ...backspaces] = updates
  writer.send(frame(0, 2, content))
  await reader.hears('the content', (bytes) => updateIn(bytes, 2))
  reader.heard.length = 0
  // What is read at once is passed on as one.
  writer.send(Buffer.concat(backspaces.map((update) => frame(0, 2, update))))
  const deletions = await reader.hears('the deletions', (bytes) => updateIn(bytes, 2))
  const [ranges] = Y.decodeUpdate(deletions).ds.clients.values()
  assert.deepEqual(
    ranges.map(({ clock, len }) => [clock, len]),
    [[100, 5]]
  )
  const late = new Y.Doc()
  for (const update of [deletions, content]) Y.applyUpdate(late, update)
  assert.equal(late.getText('content').toString(), text.toString())
  assert.equal(late.store.pendingDs, null)
})

test('no update comes before the answer that it stands on', async (t) => {
  const server = await Server.for(t)
  const room = newRoom()
  const ann = await Client.for(t, server.ws, room)
  const raw = await Raw.open(t, `${server.ws}/${room}`)
  await raw.hears('the question', (bytes) => bytes[0] === 0 && bytes[1] === 0)
  for (const letter of 'before ') ann.append(letter)
  await (await Client.for(t, server.ws, room)).has('before ')
  raw.send(frame(0, 0, Uint8Array.of(0)))
  const answer = await raw.hears('the answer', (bytes) => updateIn(bytes, 1))
  assert.equal(raw.heard.filter((bytes) => updateIn(bytes, 2)).length, 0)
  ann.append('after')
  const update = await raw.hears('the update', (bytes) => updateIn(bytes, 2))
  assert.equal(holding(answer, update).getText('content').toString(), 'before after')
})
