// What other servers have stored comes into a vault by `sheaf import`, and stock clients read it
// there. The stores are written by the servers' own packages.
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { cp, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import * as Y from 'yjs'
import * as hocuspocusClients from './families/hocuspocus.mjs'
import * as ysweetClients from './families/ysweet.mjs'
import * as ywebsocketClients from './families/ywebsocket.mjs'
import { guarded, TOKENS } from './guarded.mjs'
import { BINARY, Server } from './server.mjs'
import * as hocuspocus from './stores/hocuspocus.mjs'
import * as ysweet from './stores/y-sweet.mjs'
import * as ywebsocket from './stores/y-websocket.mjs'
import { shown } from './stores/contents.mjs'
import { until } from './until.mjs'

const KINDS = { text: 'text', map: 'map', xml: 'xml', long: 'long' }
/** Names as applications give them, in the room of an address and in Hocuspocus frames. */
const ODD = { 'plans/june 2026.md': 'text', 'prj:42*': 'map', 'grüße 🌾/%41': 'text' }

/** A folder that goes when test `t` ends. */
const folder = async (t) => {
  const dir = await mkdtemp(join(tmpdir(), 'sheaf-import-'))
  t.after(() => rm(dir, { recursive: true, force: true }))
  return dir
}

/** Runs `sheaf import …`; its report (unless `args` say otherwise), what it said, how it ended. */
const run = (args, { token, json = true } = {}) =>
  new Promise((resolve) => {
    const own = Object.entries(process.env).filter(([name]) => !name.startsWith('SHEAF_'))
    const env = { ...Object.fromEntries(own), ...(token && { SHEAF_TOKEN: token }) }
    const all = ['import', ...args, ...(json ? ['--json'] : [])]
    execFile(BINARY, all, { env }, (error, stdout, stderr) => {
      const report = json && stdout ? JSON.parse(stdout) : null
      resolve({ code: error?.code ?? 0, stdout, stderr, report })
    })
  })

const editOf = (words, clientID = 7) => {
  const doc = new Y.Doc()
  doc.clientID = clientID
  doc.getText('content').insert(0, words)
  return Y.encodeStateAsUpdate(doc)
}
/** Its second half stands on the first, which is not there. */
const halfOf = (words) => {
  const doc = new Y.Doc()
  doc.getText('content').insert(0, words)
  const before = Y.encodeStateVector(doc)
  doc.getText('content').insert(0, 'more ')
  return Y.encodeStateAsUpdate(doc, before)
}
const cut = (update) => update.slice(0, -3)

/** A store of each kind: how it is made, how one adds to it, and who reads it in a stock client. */
const STORES = {
  hocuspocus: {
    names: { ...KINDS, ...ODD },
    Client: hocuspocusClients.Client,
    where: (dir) => join(dir, 'db.sqlite'),
    make: hocuspocus.make,
    // One row a document.
    put: (path, documents) =>
      hocuspocus.put(
        path,
        Object.entries(documents).map(([name, updates]) => [name, updates.at(-1)])
      )
  },
  'y-sweet': {
    names: { text: 'text', map: 'map', xml: 'xml' },
    Client: ysweetClients.Client,
    where: (dir) => join(dir, 'data'),
    async make(path, names) {
      if (process.env.BIN_Y_SWEET) return ysweet.make(process.env.BIN_Y_SWEET, path, names)
      await cp(ysweet.FIXTURE, path, { recursive: true })
      return ysweet.shownIn(path)
    },
    put: ysweet.put
  },
  'y-websocket': {
    names: { ...KINDS, ...ODD },
    Client: ywebsocketClients.Client,
    where: (dir) => join(dir, 'leveldb'),
    make: ywebsocket.make,
    put: ywebsocket.put
  }
}

for (const [kind, { names, Client, where, make, put }] of Object.entries(STORES)) {
  describe(`a store of ${kind}`, () => {
    test('its documents come in as they were, and only once', async (t) => {
      const path = where(await folder(t))
      const expected = await make(path, names)
      const count = Object.keys(names).length
      assert.equal(Object.keys(expected).length, count)
      const server = await Server.for(t)
      const to = ['--server', server.http]

      const dry = await run([kind, path, '--dry-run'])
      assert.equal(dry.code, 0, dry.stderr)
      assert.equal(dry.report.read, count + (kind === 'y-sweet'))
      assert.deepEqual(await listed(server), [])

      const first = await run([kind, path, ...to])
      assert.equal(first.code, 0, first.stderr)
      // Y-Sweet's backends make documents on purpose: an empty one is there, too.
      assert.equal(first.report.created, count + (kind === 'y-sweet'))
      assert.ok(first.report.bytes > 300)
      const before = await listed(server)

      const second = await run([kind, path, ...to])
      assert.equal(second.code, 0, second.stderr)
      assert.equal(second.report.unchanged, first.report.created)
      assert.equal(second.report.created + second.report.merged, 0)
      assert.deepEqual(await listed(server), before)

      for (const name of Object.keys(names)) {
        const client = await Client.for(t, server.ws, name)
        assert.deepEqual(shown(client.doc), expected[name], name)
      }
      // And they are stored, not only in memory.
      await server.kill()
      await server.restart()
      const client = await Client.for(t, server.ws, 'xml')
      assert.deepEqual(shown(client.doc), expected.xml)
    })

    test('what is broken is named, and the others come in', async (t) => {
      const path = where(await folder(t))
      await put(path, {
        good: [editOf('good')],
        broken: [editOf('lost'), cut(editOf('broken', 8))],
        half: [editOf('the first half'), halfOf('nowhere')],
        last: [editOf('last')]
      })
      const server = await Server.for(t)
      const done = await run([kind, path, '--server', server.http])
      assert.equal(done.code, 3, done.stderr)
      const names = done.report.skipped.map(({ name }) => name)
      const { incomplete, created } = done.report
      // Where only the last update is kept, all of that stands on what is missing.
      if (kind === 'hocuspocus') {
        assert.deepEqual([names, incomplete, created], [['broken', 'half'], [], 2])
      } else {
        assert.deepEqual([names, incomplete, created], [['broken'], ['half'], 2])
        await (await Client.for(t, server.ws, 'half')).has('the first half')
      }
      await (await Client.for(t, server.ws, 'last')).has('last')
      const lines = await run([kind, path, '--server', server.http], { json: false })
      assert.match(lines.stderr, /skipped broken: /)
      assert.match(lines.stdout, /2 unchanged.* skipped; /)
    })

    test('what was edited since is merged, or left alone', async (t) => {
      const path = where(await folder(t))
      await put(path, { plan: [editOf('stored')] })
      const server = await Server.for(t)
      const ann = await Client.for(t, server.ws, 'plan')
      ann.append('edited')
      await (await Client.for(t, server.ws, 'plan')).has('edited')
      const kept = await run([kind, path, '--server', server.http, '--keep'])
      assert.deepEqual([kept.code, kept.report.kept], [0, 1], kept.stderr)
      assert.equal(ann.string, 'edited')
      const merged = await run([kind, path, '--server', server.http])
      assert.deepEqual([merged.code, merged.report.merged], [0, 1], merged.stderr)
      await until(() => ['storededited', 'editedstored'].includes(ann.string), 'both texts')
    })

    test('it goes into a vault that asks for a token, below a prefix', async (t) => {
      const path = where(await folder(t))
      await put(path, { plan: [editOf('stored')] })
      const { server } = await guarded(t)
      const to = ['--server', server.http, '--vault', 'team', '--prefix', 'old/']
      const stranger = await run([kind, path, ...to])
      assert.equal(stranger.code, 1)
      assert.match(stranger.stderr, /--token-file/)
      const reader = await run([kind, path, ...to], { token: TOKENS.read })
      assert.equal(reader.code, 3)
      assert.equal(reader.report.skipped.length, 1)
      const admin = await run([kind, path, ...to], { token: TOKENS.admin })
      assert.deepEqual([admin.code, admin.report.created], [0, 1], admin.stderr)
      const ann = await ywebsocketClients.Client.for(
        t,
        `${server.ws}/v1/vaults/team/docs`,
        'old/plan',
        { params: { token: TOKENS.write } }
      )
      await ann.has('stored')
      // Brought in by an admin, what others wrote does not become the admin's.
      const ben = await ywebsocketClients.Client.for(
        t,
        `${server.ws}/v1/vaults/team/docs`,
        'old/plan',
        { params: { token: TOKENS.write }, doc: continued(editOf('stored')) }
      )
      ben.append(' and gone on')
      await ann.has('stored and gone on')
    })

    test('a path that holds no such store is refused, and so is nowhere to go', async (t) => {
      const dir = await folder(t)
      const missing = await run([kind, join(dir, 'gone'), '--dry-run'])
      assert.equal(missing.code, 1)
      assert.match(missing.stderr, /gone/)
      const path = where(dir)
      await put(path, { plan: [editOf('stored')] })
      const nowhere = await run([kind, path])
      assert.equal(nowhere.code, 2)
      assert.match(nowhere.stderr, /--server/)
    })
  })
}

/** A document with this state that goes on under the client id 7, as a tab left open does. */
const continued = (state) => {
  const doc = new Y.Doc()
  Y.applyUpdate(doc, state)
  doc.clientID = 7
  return doc
}

const listed = async (server) => {
  const answer = await fetch(`${server.http}/v1/vaults/default/changes?since=0`)
  return answer.ok ? (await answer.json()).changes : []
}

test('names that no path can have come in as they are', async (t) => {
  const path = join(await folder(t), 'db.sqlite')
  const names = ['nul\0in it', 'a//b', '/a', 'a/../b', 'Con', 'con', 'x'.repeat(1024)]
  hocuspocus.put(path, [
    ...names.map((name) => [name, editOf(name)]),
    ['..', editOf('no')],
    ['y'.repeat(1025), editOf('no')]
  ])
  const server = await Server.for(t)
  const done = await run(['hocuspocus', path, '--server', server.http])
  assert.equal(done.report.created, names.length, done.stderr)
  assert.deepEqual(
    done.report.skipped.map(({ name }) => name),
    ['..', 'y'.repeat(1025)]
  )
  // A NUL in a Hocuspocus frame parts the name from the session.
  for (const name of names.filter((name) => !name.includes('\0'))) {
    const client = await hocuspocusClients.Client.for(t, server.ws, name)
    assert.equal(client.string, name)
  }
  const ann = await ywebsocketClients.Client.for(t, server.ws, 'nul%00in it')
  assert.equal(ann.string, names[0])
})

test('a document that a Y-Sweet backend has made is there, written to or not', async (t) => {
  const server = await Server.for(t)
  const done = await run(['y-sweet', ysweet.FIXTURE, '--server', server.http])
  assert.equal(done.code, 0, done.stderr)
  const manager = ysweetClients.managerFor(server.ws)
  assert.equal((await manager.getClientToken('empty')).docId, 'empty')
  await assert.rejects(manager.getClientToken('gone'), { message: /404/ })
})

test('a room that was only looked at is no document', async (t) => {
  const dir = join(await folder(t), 'leveldb')
  await ywebsocket.put(dir, { looked: [new Uint8Array([0, 0])], plan: [editOf('plan')] })
  const server = await Server.for(t)
  const done = await run(['y-websocket', dir, '--server', server.http])
  assert.deepEqual([done.code, done.report.created, done.report.empty], [0, 1, 1], done.stderr)
})

test('a database that a server has open is not read', async (t) => {
  const dir = join(await folder(t), 'leveldb')
  const server = await ywebsocket.start(dir)
  const client = await ywebsocketClients.Client.for(t, server.url, 'plan')
  const done = await run(['y-websocket', dir, '--dry-run'])
  assert.equal(done.code, 1)
  assert.match(done.stderr, /in use: stop its server/)
  client.destroy()
  await server.stop()
  assert.equal((await run(['y-websocket', dir, '--dry-run'])).code, 0)
})

test('a server of its own naming keeps its names', async (t) => {
  const dir = join(await folder(t), 'leveldb')
  await ywebsocket.put(dir, { 'a%20b': [editOf('kept')] })
  const server = await Server.for(t)
  const done = await run(['y-websocket', dir, '--plain-names', '--server', server.http])
  assert.equal(done.report.created, 1, done.stderr)
  const client = await ywebsocketClients.Client.for(t, server.ws, 'a%2520b')
  await client.has('kept')
})
