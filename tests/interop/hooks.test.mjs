// What an app does in the hooks of a Hocuspocus server, it does here over HTTP: each row of the
// table in docs/migrate-from-hocuspocus.md, with stock providers.
import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import * as Y from 'yjs'
import { Client } from './families/hocuspocus.mjs'
import { newRoom } from './families/replica.mjs'
import { TOKENS, users } from './guarded.mjs'
import { Server } from './server.mjs'
import { until } from './until.mjs'

const WEBHOOK_SECRET = `whsec_${Buffer.alloc(24, 7).toString('base64')}`
const CALLBACK_SECRET = 'a-secret-that-the-callback-carries'

/**
 * An app's backend and a Sheaf server that asks and tells it: `asked` are the questions of the
 * access callback, which `answer` answers with a status and a body, `told` the events.
 */
const app = async (t, answer = () => [200, { user: 'ada', role: 'write' }]) => {
  const backend = { asked: [], told: [], server: null }
  const http = createServer(async (request, response) => {
    let body = ''
    for await (const chunk of request) body += chunk
    const said = JSON.parse(body)
    if (request.url === '/told') {
      backend.told.push(said)
      return response.end()
    }
    assert.equal(request.headers.authorization, `Bearer ${CALLBACK_SECRET}`)
    backend.asked.push(said)
    const [status, answered] = await answer(said, backend)
    response.writeHead(status, { 'content-type': 'application/json' })
    response.end(JSON.stringify(answered ?? {}))
  })
  await new Promise((resolve) => http.listen(0, '127.0.0.1', resolve))
  const dir = await mkdtemp(join(tmpdir(), 'sheaf-hooks-'))
  t.after(async () => {
    http.closeAllConnections()
    http.close()
    await rm(dir, { recursive: true, force: true })
  })
  const url = `http://127.0.0.1:${http.address().port}`
  const config = `
[auth_callback]
url = "${url}/access"
secret = "${CALLBACK_SECRET}"
[[webhooks]]
url = "${url}/told"
secret = "${WEBHOOK_SECRET}"
debounce_ms = 50
${users('admin')}`
  const file = join(dir, 'sheaf.toml')
  await writeFile(file, config, { mode: 0o600 })
  backend.server = await Server.for(t, { args: ['--config', file] })
  return backend
}

/** A request of the backend, with its own token. */
const ask = (server, method, path, { body, headers = {} } = {}) =>
  fetch(`${server.http}/v1/${path}`, {
    method,
    body,
    headers: { authorization: `Bearer ${TOKENS.admin}`, ...headers }
  })

const event = (backend, type, room) =>
  until(
    () =>
      backend.told.find(
        (it) => it.type === type && (it.document?.path ?? it.session?.document) === room
      ),
    () => `${type} among ${JSON.stringify(backend.told)}`
  )

test('onAuthenticate: the callback decides who comes in, and as what', async (t) => {
  const backend = await app(t, ({ token }) => {
    if (token === 'of-a-reader') return [200, { user: 'ben', role: 'read' }]
    return token === 'of-a-writer' ? [200, { user: 'ada', role: 'write' }] : [401]
  })
  const { ws } = backend.server
  const room = newRoom()
  const ada = await Client.for(t, ws, room, { token: 'of-a-writer' })
  const ben = await Client.for(t, ws, room, { token: 'of-a-reader' })
  assert.deepEqual([ada.scope, ben.scope], ['read-write', 'readonly'])
  const stranger = new Client(ws, room, { token: 'of-nobody' })
  t.after(() => stranger.destroy())
  await until(() => stranger.denials.length > 0, 'the refusal')
  const { token, vault, path } = backend.asked[0]
  assert.deepEqual({ token, vault, path }, { token: 'of-a-writer', vault: 'default', path: room })
})

test('onLoadDocument: a document is seeded before anyone sees it, once ever', async (t) => {
  const seeds = []
  const backend = await app(t, async ({ path }, { server }) => {
    // A document of its own each time, as a hook makes one: two of them would double the text.
    const seed = new Y.Doc()
    seed.getText('content').insert(0, 'from the database')
    const answered = await ask(server, 'POST', `vaults/default/update/${path}?room=1`, {
      body: Y.encodeStateAsUpdate(seed),
      headers: { 'if-none-match': '*', 'content-type': 'application/octet-stream' }
    })
    seeds.push(answered.status)
    return [200, { user: 'ada', role: 'write' }]
  })
  const { server } = backend
  const room = newRoom()
  const clients = await Promise.all(
    ['a', 'b', 'c'].map((token) => Client.for(t, server.ws, room, { token }))
  )
  for (const client of clients) assert.equal(client.string, 'from the database')
  clients[0].text.delete(0, 5)
  await clients[0].saved()
  await server.kill()
  await server.restart()
  const late = await Client.for(t, server.ws, room, { token: 'd' })
  assert.equal(late.string, 'the database')
  assert.deepEqual(seeds.sort(), [201, ...seeds.slice(1).map(() => 412)])
})

test('onConnect, onChange, onStoreDocument, onDisconnect: webhooks tell', async (t) => {
  const backend = await app(t)
  const { server } = backend
  const room = newRoom()
  const ann = await Client.for(t, server.ws, room, { token: 'any' })
  const joined = await event(backend, 'session.joined', room)
  assert.equal(joined.session.user, 'ada')
  assert.equal(joined.session.dialect, 'hocuspocus')
  ann.append('one')
  const created = await event(backend, 'document.created', room)
  assert.equal(created.document.by, 'ada')
  ann.append(' and two')
  await event(backend, 'document.changed', room)
  // What onStoreDocument was given, the backend fetches: as text, or as Yjs has it.
  const text = await ask(server, 'GET', `vaults/default/files/${room}`)
  assert.equal(await text.text(), 'one and two')
  const update = await ask(server, 'GET', `vaults/default/update/${room}`)
  const doc = new Y.Doc()
  Y.applyUpdate(doc, new Uint8Array(await update.arrayBuffer()))
  assert.equal(doc.getText('content').toString(), 'one and two')
  ann.destroy()
  const left = await event(backend, 'session.left', room)
  assert.equal(left.session.id, joined.session.id)
})

test('onAwarenessUpdate, openDirectConnection, closeConnections: requests', async (t) => {
  const backend = await app(t)
  const { server } = backend
  const room = newRoom()
  const ann = await Client.for(t, server.ws, room, { token: 'any' })
  ann.named('Ann')
  ann.append('typed')
  await ann.saved()
  const present = await ask(server, 'GET', `vaults/default/awareness/${room}`)
  const { clients } = await present.json()
  assert.deepEqual(
    clients.map(({ client, state }) => [client, state.user.name]),
    [[ann.doc.clientID, 'Ann']]
  )
  const doc = new Y.Doc()
  doc.getMap('settings').set('by', 'the backend')
  const edited = await ask(server, 'POST', `vaults/default/update/${room}`, {
    body: Y.encodeStateAsUpdate(doc)
  })
  assert.equal(edited.status, 200)
  await until(() => ann.doc.getMap('settings').get('by') === 'the backend', 'the edit')
  const { sessions } = await (await ask(server, 'GET', 'vaults/default/sessions')).json()
  const { id } = sessions.find((session) => session.document === room)
  const closed = await ask(server, 'DELETE', `sessions/${id}`)
  assert.equal(closed.status, 204)
  await event(backend, 'session.left', room)
})

test('onStateless: what a client says to all reaches all clients', async (t) => {
  const backend = await app(t)
  const room = newRoom()
  const [ann, ben] = [
    await Client.for(t, backend.server.ws, room, { token: 'a' }),
    await Client.for(t, backend.server.ws, room, { token: 'b' })
  ]
  ann.provider.sendStateless('saved a version')
  await until(() => ben.stateless.includes('saved a version'), 'the message')
})
