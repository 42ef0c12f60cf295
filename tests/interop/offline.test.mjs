// Edits made without the server: they arrive once it is back, whatever happened in between.
import 'fake-indexeddb/auto'
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { IndexeddbPersistence } from 'y-indexeddb'
import * as Y from 'yjs'
import { converged, newRoom } from './families/replica.mjs'
import { Client, VERSIONS } from './families/ywebsocket.mjs'
import { Server } from './server.mjs'
import { until } from './until.mjs'

for (const version of VERSIONS) {
  test(`offline edits of a ${version} client arrive when it is back`, async (t) => {
    const server = await Server.for(t)
    const room = newRoom()
    const ann = await Client.for(t, server.ws, room, { version })
    const ben = await Client.for(t, server.ws, room, { version })
    ann.text.insert(0, 'base ')
    await ben.has('base ')
    ben.provider.disconnect()
    await until(() => !ben.provider.wsconnected, 'the end of the connection')
    ben.text.insert(0, 'offline ')
    ann.text.insert(5, 'meanwhile')
    ben.provider.connect()
    const text = 'offline base meanwhile'
    await Promise.all([ann.has(text), ben.has(text)])
  })

  test(`a ${version} client goes on after kill -9 of the server and loses nothing`, async (t) => {
    const server = await Server.for(t)
    const room = newRoom()
    const ann = await Client.for(t, server.ws, room, { version })
    const ben = await Client.for(t, server.ws, room, { version })
    ann.text.insert(0, 'delivered. ')
    await ben.has('delivered. ')
    await server.kill()
    ann.text.insert(ann.text.length, 'While it was down. ')
    await server.restart()
    await ben.has('delivered. While it was down. ')
    ben.text.insert(ben.text.length, 'After.')
    await ann.has('delivered. While it was down. After.')
    const late = await Client.for(t, server.ws, room, { version })
    assert.equal(late.string, 'delivered. While it was down. After.')
  })
}

test('what was delivered survives kill -9 although every client is gone', async (t) => {
  const server = await Server.for(t)
  const room = newRoom()
  const ann = await Client.for(t, server.ws, room)
  const ben = await Client.for(t, server.ws, room)
  let expected = ''
  for (let round = 0; round < 5; round++) {
    ann.text.insert(ann.text.length, `round ${round}. `)
    expected = ann.string
    await ben.has(expected)
    await server.kill()
    await server.restart()
    const late = await Client.for(t, server.ws, room, { version: VERSIONS[round % 3] })
    assert.equal(late.string, expected)
    await Promise.all([ann.synced(), ben.synced()])
  }
})

test('an orderly stop ends with code 0 and clients come back by themselves', async (t) => {
  const server = await Server.for(t)
  const room = newRoom()
  const clients = await Promise.all(
    VERSIONS.map((version) => Client.for(t, server.ws, room, { version }))
  )
  clients[0].text.insert(0, 'kept')
  await Promise.all(clients.map((client) => client.has('kept')))
  assert.equal(await server.stop(), 0)
  await until(() => clients.every(({ provider }) => !provider.wsconnected), 'the stop noticed')
  await server.restart()
  await Promise.all(clients.map((client) => client.synced()))
  clients[2].text.insert(4, ', and more')
  await Promise.all(clients.map((client) => client.has('kept, and more')))
})

test('thirty offline reloads of a page, each with a new client id, all arrive', async (t) => {
  const server = await Server.for(t)
  const room = newRoom()
  const ann = await Client.for(t, server.ws, room)
  ann.text.insert(0, 'online\n')
  const ids = new Set()
  for (let load = 0; load < 30; load++) {
    const doc = new Y.Doc()
    const copy = new IndexeddbPersistence(room, doc)
    await copy.whenSynced
    const text = doc.getText('content')
    text.insert(text.length, `load ${load}\n`)
    ids.add(doc.clientID)
    await copy.destroy()
    doc.destroy()
  }
  assert.equal(ids.size, 30)
  const doc = new Y.Doc()
  const copy = new IndexeddbPersistence(room, doc)
  t.after(() => copy.destroy())
  await copy.whenSynced
  const back = await Client.for(t, server.ws, room, { doc })
  await until(() => ann.text.length === back.text.length && ann.text.length > 200, 'all lines')
  const text = await converged([ann, back])
  for (let load = 0; load < 30; load++) assert.ok(text.includes(`load ${load}\n`))
  assert.ok(text.includes('online\n'))
})
