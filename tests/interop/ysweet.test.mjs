// Y-Sweet's SDK and its HTTP calls: documents are made, read and written without a socket.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as Y from 'yjs'
import { newRoom } from './families/replica.mjs'
import { Client, managerFor } from './families/ysweet.mjs'
import { guarded, serverToken } from './guarded.mjs'
import { Server } from './server.mjs'

const editOf = (text) => {
  const doc = new Y.Doc()
  doc.getText('content').insert(0, text)
  return Y.encodeStateAsUpdate(doc)
}
const textOf = (update) => {
  const doc = new Y.Doc()
  Y.applyUpdate(doc, update)
  return doc.getText('content').toString()
}

test('the SDK makes, writes and reads documents, and people see what it writes', async (t) => {
  const { server } = await guarded(t)
  const manager = managerFor(server.ws, serverToken(server))
  assert.deepEqual(await manager.checkStore(), { ok: true })
  const { docId } = await manager.createDoc()
  assert.match(docId, /^[A-Za-z0-9_-]+$/)
  const room = newRoom()
  assert.deepEqual(await manager.createDoc(room), { docId: room })
  assert.deepEqual(await manager.createDoc(room), { docId: room })
  assert.equal(textOf(await manager.getDocAsUpdate(room)), '')
  const ann = await Client.for(t, server.ws, room, { serverToken: serverToken(server) })
  await manager.updateDoc(room, editOf('from the backend'))
  await ann.has('from the backend')
  ann.append(', and back')
  await ann.saved()
  assert.equal(textOf(await manager.getDocAsUpdate(room)), 'from the backend, and back')
  const connection = await manager.getDocConnection(room, { authorization: 'read-only' })
  assert.equal(textOf(await connection.getAsUpdate()), 'from the backend, and back')
  await assert.rejects(connection.updateDoc(editOf('no')), { message: /403/ })
  await assert.rejects(manager.getClientToken(newRoom()), { message: /404/ })
  await assert.rejects(managerFor(server.ws, 'worthless').createDoc(), { message: /InvalidAuth/ })
  await assert.rejects(managerFor(server.ws).createDoc(), { message: /NoAuth/ })
})

test('a client token says where to go and what one may do there', async (t) => {
  const { server } = await guarded(t)
  const manager = managerFor(server.ws, serverToken(server))
  const room = newRoom()
  const token = await manager.getOrCreateDocAndToken(room)
  const host = server.http.slice('http://'.length)
  assert.equal(token.url, `ws://${host}/d/${room}/ws`)
  assert.equal(token.baseUrl.replace(/\/$/, ''), `http://${host}/d/${room}`)
  assert.equal(token.docId, room)
  assert.equal(token.authorization, 'full')
  assert.equal(typeof token.token, 'string')
  const reading = await manager.getClientToken(room, { authorization: 'read-only', userId: 'ada' })
  assert.equal(reading.authorization, 'read-only')
})

test('an open server needs no tokens, and answers who asks whether it is ready', async (t) => {
  const server = await Server.for(t)
  const room = newRoom()
  const ann = await Client.for(t, server.ws, room)
  const ben = await Client.for(t, server.ws, room)
  ann.append('open')
  await ben.has('open')
  const get = async (path) => (await fetch(`${server.http}${path}`)).json()
  assert.deepEqual(await get('/ready'), { ok: true })
  assert.deepEqual(await get('/check_store'), { ok: true })
})

test('the calls of older SDKs go on working', async (t) => {
  const server = await Server.for(t)
  const room = newRoom()
  const ann = await Client.for(t, server.ws, room)
  const write = await fetch(`${server.http}/doc/${room}/update`, {
    method: 'POST',
    headers: { 'Content-Type': 'application/octet-stream' },
    body: editOf('old')
  })
  assert.equal(write.status, 200)
  await ann.has('old')
  const read = await fetch(`${server.http}/doc/${room}/as-update`)
  assert.equal(read.headers.get('content-type'), 'application/octet-stream')
  assert.equal(textOf(new Uint8Array(await read.arrayBuffer())), 'old')
})
