// What clients say about their edits being saved: only what is durable is. The syncs of a real
// server are held back while the others go on reading and writing.
import assert from 'node:assert/strict'
import { after, describe, test } from 'node:test'
import * as Y from 'yjs'
import { CLIENTS } from './families/all.mjs'
import { FAMILY as HOCUSPOCUS } from './families/hocuspocus.mjs'
import { newRoom } from './families/replica.mjs'
import { Client as YSweet } from './families/ysweet.mjs'
import { Client as YWebsocket, NEXT } from './families/ywebsocket.mjs'
import { guarded } from './guarded.mjs'
import { discardShim, held } from './hold.mjs'
import { Proxy } from './proxy.mjs'
import { frame, Raw } from './raw.mjs'
import { until } from './until.mjs'

// Y-Sweet asks every 2 s, and gives up a connection on which nothing is heard for 3 s after that.
const PATIENCE_MS = 6000
const BACK_MS_MAX = 20_000

after(discardShim)

const telling = CLIENTS.filter(({ family }) => family !== 'y-websocket')

/** An edit by `text` as bytes. */
const editOf = (text) => {
  const doc = new Y.Doc()
  doc.getText('content').insert(0, text)
  return Y.encodeStateAsUpdate(doc)
}
/** A document with what `client` has. */
const copyOf = (client) => {
  const doc = new Y.Doc()
  Y.applyUpdate(doc, Y.encodeStateAsUpdate(client.doc))
  return doc
}
const isEcho = (bytes) => bytes[0] === 102

test('message 102 comes back when what was sent before it is durable', async (t) => {
  const { server, hold, isHeld, release } = await held(t)
  const room = newRoom()
  const reader = await YWebsocket.for(t, server.ws, room)
  const raw = await Raw.open(t, `${server.ws}/${room}`)
  raw.send(frame(102, Uint8Array.of(1)))
  await raw.hears('the first echo', isEcho)
  await hold()
  raw.send(frame(0, 2, editOf('delivered')), frame(102, Uint8Array.of(2)))
  await reader.has('delivered')
  await isHeld()
  // What is sent now is answered although the edit is not: the session is not what is held.
  raw.send(frame(0, 0, Uint8Array.of(0)))
  await raw.hears(
    'the edit, asked for',
    (bytes) => bytes[0] === 0 && bytes[1] === 1 && bytes[2] > 2
  )
  assert.equal(raw.heard.filter(isEcho).length, 1)
  await release()
  await raw.hears('the second echo', (bytes) => isEcho(bytes) && bytes.at(-1) === 2)
})

for (const client of telling) {
  describe(client.label, { concurrency: true }, () => {
    test(`${client.label}: an edit is saved when durable, not when delivered`, async (t) => {
      const { server, hold, isHeld, release } = await held(t)
      const room = newRoom()
      const ann = await client.connect(t, server, room)
      const ben = await client.connect(t, server, room)
      await Promise.all([ann.saved(), ben.saved()])
      await hold()
      for (const word of ['one', ' two', ' three']) ann.append(word)
      await ben.has('one two three')
      await isHeld()
      ben.append(' four')
      await ann.has('one two three four')
      assert.equal(ann.unsaved, true)
      assert.equal(ben.unsaved, true)
      if (client.family === HOCUSPOCUS) assert.deepEqual([ann.unsynced, ben.unsynced], [3, 1])
      await release()
      await Promise.all([ann.saved(), ben.saved()])
    })

    test(`${client.label}: an offline edit is saved when it is durable`, async (t) => {
      const { server, hold, isHeld, release } = await held(t)
      const proxy = await Proxy.for(t, server.port)
      const room = newRoom()
      const ann = await client.connect(t, server, room)
      const ben = await client.connect(t, server, room, { via: proxy })
      await ben.saved()
      proxy.down()
      await until(() => !ben.isConnected, 'the end of the connection')
      ben.append('from offline')
      await hold()
      proxy.up()
      await ann.has('from offline', BACK_MS_MAX)
      await isHeld()
      ann.append(', seen')
      await ben.has('from offline, seen')
      assert.equal(ben.unsaved, true)
      await release()
      await Promise.all([ann.saved(), ben.saved()])
    })

    test(`${client.label}: who brings what is not durable yet waits for it too`, async (t) => {
      const { server, hold, isHeld, release } = await held(t)
      const room = newRoom()
      const ann = await client.connect(t, server, room)
      await ann.saved()
      await hold()
      ann.append('not durable')
      await until(() => ann.unsaved, 'the edit counted')
      const reader = await client.connect(t, server, room)
      await reader.has('not durable')
      await isHeld()
      // The same edit from somebody else, who had it by another way.
      const other = await client.connect(t, server, room, { doc: copyOf(ann) })
      reader.append('!')
      await other.has('not durable!')
      assert.equal(other.unsaved, true)
      await release()
      await Promise.all([ann, reader, other].map((one) => one.saved()))
    })

    test(`${client.label}: what it says is saved survives kill -9, with all clients gone`, async (t) => {
      const { server } = await held(t)
      const room = newRoom()
      const ann = await client.connect(t, server, room)
      for (let round = 0; round < 3; round++) {
        ann.append(`round ${round}. `)
        await ann.saved(BACK_MS_MAX)
        await server.kill()
        // It is asked what it says again only when it is connected again.
        await until(() => !ann.isConnected, 'the end noticed')
        await server.restart()
        await ann.synced(BACK_MS_MAX)
      }
      const text = ann.string
      await ann.saved(BACK_MS_MAX)
      ann.destroy()
      await server.kill()
      await server.restart()
      const late = await client.connect(t, server, room)
      assert.equal(late.string, text)
    })

    test(`${client.label}: every edit of a burst is acknowledged`, async (t) => {
      const { server } = await held(t)
      const room = newRoom()
      const ann = await client.connect(t, server, room)
      const ben = await client.connect(t, server, room)
      for (let at = 0; at < 300; at++) (at % 3 ? ann : ben).append(`${at} `)
      await Promise.all([ann.saved(), ben.saved()])
      if (client.family !== HOCUSPOCUS) return
      assert.deepEqual([ann.unsynced, ben.unsynced], [0, 0])
      ann.provider.forceSync()
      await ann.saved()
      assert.equal(ann.unsynced, 0)
    })
  })
}

for (const client of telling.filter(({ family }) => family === HOCUSPOCUS)) {
  test(`${client.label}: who may only read has saved what is there, no more`, async (t) => {
    const { server } = await guarded(t)
    const room = newRoom()
    const writer = await client.connect(t, server, room, { access: 'write' })
    writer.append('there')
    await writer.saved()
    const same = await client.connect(t, server, room, { access: 'read', doc: copyOf(writer) })
    await same.saved()
    const doc = copyOf(writer)
    doc.getText('content').delete(0, 5)
    const less = await client.connect(t, server, room, { access: 'read', doc })
    less.named('Less')
    await until(() => writer.sees(less) === 'Less', 'its presence, sent behind its sync')
    assert.equal(less.unsaved, true)
    same.append('!')
    same.named('Same')
    await until(() => writer.sees(same) === 'Same', 'its presence, sent behind its edit')
    assert.equal(same.unsynced, 1)
    assert.equal(writer.string, 'there')
  })
}

test('a Y-Sweet client waits for a slow disk without giving up its connection', async (t) => {
  const { server, hold, release } = await held(t)
  const ann = await YSweet.for(t, server.ws, newRoom())
  await ann.saved()
  await hold()
  ann.append('patience')
  const start = performance.now()
  await until(() => performance.now() - start > PATIENCE_MS, 'its patience over', PATIENCE_MS * 2)
  assert.equal(ann.unsaved, true)
  assert.deepEqual(ann.closes, [])
  await release()
  await ann.saved()
})

/** Own edits that `client` is sent back, as `@y/websocket` 4 wants them. */
const echoesTo = (client) => {
  const seen = { updates: 0 }
  client.provider.ws.addEventListener('message', ({ data }) => {
    const [sync, update] = new Uint8Array(data)
    if (sync === 0 && update === 2) seen.updates++
  })
  return seen
}

test('a client on Yjs 14 is sent its edits back when durable, others are not', async (t) => {
  const { server, hold, isHeld, release } = await held(t)
  const room = newRoom()
  const next = await YWebsocket.for(t, server.ws, room, { version: NEXT })
  const old = await YWebsocket.for(t, server.ws, newRoom())
  const ben = await YWebsocket.for(t, server.ws, room)
  const [toNext, toOld] = [next, old].map(echoesTo)
  await hold()
  next.append('mine')
  old.append('mine')
  await ben.has('mine')
  await isHeld()
  next.named('Next')
  await until(() => ben.sees(next) === 'Next', 'its presence, sent behind its edit')
  assert.equal(toNext.updates, 0)
  await release()
  await until(() => toNext.updates === 1, 'the echo')
  // A round trip behind its edit: an echo would have come before.
  const other = await YWebsocket.for(t, server.ws, old.provider.roomname)
  other.named('Other')
  await until(() => old.sees(other) === 'Other', 'a round trip')
  assert.equal(toOld.updates, 0)
})
