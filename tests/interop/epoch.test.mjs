// Documents that are deleted and made again: a stock client that comes back with the history of the
// one that is no more must not double the text of the new one, and must lose nothing.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as Y14 from '@y/y'
import * as Y from 'yjs'
import * as hocuspocus from './families/hocuspocus.mjs'
import { newRoom } from './families/replica.mjs'
import * as ysweet from './families/ysweet.mjs'
import * as ywebsocket from './families/ywebsocket.mjs'
import { Server } from './server.mjs'
import { until } from './until.mjs'

const FAMILIES = [ywebsocket, hocuspocus, ysweet]
const CLIENTS = FAMILIES.flatMap(({ Client, FAMILY, VERSIONS, NEXT = [] }) =>
  VERSIONS.concat(NEXT).map((version) => {
    return { Client, family: FAMILY, version, label: `${FAMILY} ${version}` }
  })
)
/** The Yjs that a client's documents are of. */
const yjsOf = ({ version }) => (version === ywebsocket.NEXT ? Y14 : Y)
const CODE = 4414

const files = (server) => `${server.http}/v1/vaults/default/files`
const fileAt = (server, path) => `${files(server)}/${encodeURIComponent(path)}`
const remove = (server, room) => fetch(fileAt(server, room), { method: 'DELETE' })
const put = (server, room, text) =>
  fetch(fileAt(server, room), {
    method: 'PUT',
    body: text,
    headers: { 'content-type': 'text/plain' }
  })
const read = async (server, path) => {
  const answer = await fetch(fileAt(server, path))
  return answer.ok ? answer.text() : null
}
const paths = async (server, prefix) => {
  const { files: listed } = await (
    await fetch(`${files(server)}?prefix=${encodeURIComponent(prefix)}`)
  ).json()
  return listed.map(({ path }) => path)
}

/** What a page keeps of a document that was written by a client of its own and is on disk. */
const written = async (server, kind, room, text) => {
  const { Client, version } = kind
  const writer = new Client(server.ws, room, { version })
  try {
    await writer.synced()
    writer.append(text)
    await until(async () => (await read(server, room)) === text, 'the text on the server')
    return yjsOf(kind).encodeStateAsUpdate(writer.doc)
  } finally {
    writer.destroy()
  }
}

/** A page that was loaded offline: it has the old text, and words of its own behind it. */
const offline = (kind, update, words = '') => {
  const { Doc, applyUpdate } = yjsOf(kind)
  const doc = new Doc()
  applyUpdate(doc, update)
  const text = doc.getText?.('content') ?? doc.get('content')
  text.insert(text.length, words)
  return doc
}

const returning = (t, server, { Client, version }, room, doc) => {
  const client = new Client(server.ws, room, { version, doc })
  t.after(() => client.destroy())
  return client
}

/** Waits until a client knows that its document is no more, by what its family understands. */
const told = (client) =>
  until(
    () => (client.denials ? client.denials.length > 0 : client.closes.includes(CODE)),
    () => `${client.label} is told; it was closed with ${client.closes}`
  )

for (const kind of CLIENTS) {
  const { Client, family, version, label } = kind

  test(`the text is not doubled when a ${label} client comes back to a document made again`, async (t) => {
    const server = await Server.for(t)
    const room = newRoom()
    const old = await written(server, kind, room, 'chapter one')
    assert.equal((await remove(server, room)).status, 204)
    assert.equal((await put(server, room, 'chapter one')).status, 201)
    const fresh = await Client.for(t, server.ws, room, { version })
    const back = returning(t, server, kind, room, offline(kind, old, ', and words from the train'))
    await told(back)
    assert.equal(await read(server, room), 'chapter one')
    assert.equal(fresh.string, 'chapter one')
    assert.equal(back.string, 'chapter one, and words from the train')
    const [kept] = (await paths(server, room)).filter((path) => path !== room)
    assert.match(kept, /^room-.* \(conflict [0-9A-Z]{7}\)$/)
    assert.equal(await read(server, kept), 'chapter one, and words from the train')
    // Whoever starts afresh has the new document at once, and writes in it.
    const again = await Client.for(t, server.ws, room, { version })
    assert.equal(again.string, 'chapter one')
    again.append(' goes on')
    await fresh.has('chapter one goes on')
    assert.equal((await paths(server, room)).length, 2)
  })

  test(`a ${label} client that has nothing new leaves nothing behind`, async (t) => {
    const server = await Server.for(t)
    const room = newRoom()
    const old = await written(server, kind, room, 'chapter one')
    await remove(server, room)
    const early = returning(t, server, kind, room, offline(kind, old))
    await told(early)
    // Whoever lets a Y-Sweet client in makes an empty document first.
    assert.equal(await read(server, room), family === ysweet.FAMILY ? '' : null)
    await put(server, room, 'chapter one')
    const late = returning(t, server, kind, room, offline(kind, old))
    await told(late)
    assert.equal(late.string, 'chapter one')
    assert.deepEqual(await paths(server, room), [room])
  })

  test(`an edit of a ${label} client brings a deleted document back while nothing new is there`, async (t) => {
    const server = await Server.for(t)
    const room = newRoom()
    const old = await written(server, kind, room, 'chapter one')
    await remove(server, room)
    const back = returning(t, server, kind, room, offline(kind, old, ', edited'))
    const has = async () => (await read(server, room)) === 'chapter one, edited'
    await until(has, 'the document is there again')
    await back.synced()
    back.append(' twice')
    const late = await Client.for(t, server.ws, room, { version })
    await late.has('chapter one, edited twice')
    assert.deepEqual(await paths(server, room), [room])
  })
}

for (const version of ywebsocket.VERSIONS.concat(ywebsocket.NEXT)) {
  test(`a ${version} client that stays open through it all keeps what it has`, async (t) => {
    const server = await Server.for(t)
    const room = newRoom()
    const back = await ywebsocket.Client.for(t, server.ws, room, { version })
    back.append('chapter one')
    await until(async () => (await read(server, room)) === 'chapter one', 'the text')
    back.provider.disconnect()
    await until(() => !back.isConnected, 'the end of the connection')
    back.append(', offline')
    await remove(server, room)
    await put(server, room, 'chapter one')
    await server.kill()
    await server.restart()
    back.provider.connect()
    await told(back)
    assert.equal(await read(server, room), 'chapter one')
    assert.equal(back.string, 'chapter one, offline')
    if (version === '3.1.0') {
      await until(() => !back.provider.shouldConnect, 'the client stops')
    }
  })
}
