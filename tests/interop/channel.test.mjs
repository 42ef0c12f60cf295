// The vault channel: who may come in, whole files, the feed, documents, bounds; with `ws` and MessagePack alone.
//   node --test channel.test.mjs
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { test } from 'node:test'
import WebSocket from 'ws'
import * as Y from 'yjs'
import { Channel, TOKENS, guarded } from './channel.mjs'
import { until } from './until.mjs'
import { stored, zeros } from './wire-zstd.mjs'
import { encode } from '@msgpack/msgpack'

const hash = (text) => createHash('sha256').update(text).digest('hex')
const logged = (server, line) => until(() => server.log.some((it) => it.includes(line)), () => `${line}\n${server.log.join('\n')}`)
const http = (server, user, path, options = {}) => fetch(`${server.http}/v1/vaults/personal${path}`, {
  ...options, headers: { authorization: `Bearer ${TOKENS[user]}`, ...options.headers } })
const put = (server, user, path, body) => http(server, user, `/files/${path}`, { method: 'PUT', body })

test('somebody is let in, and the log says so', async (t) => {
  const server = await guarded(t)
  const alice = await Channel.as(t, server, 'alice', { device: 'b57a77385cbd4067' })
  const { type, user, vault, mode, epoch, version, limits, device, server_time } = alice.ok
  assert.deepEqual([type, user, vault, mode, version, device], ['auth_ok', 'alice', 'personal', 'open', 0, 'b57a77385cbd4067'])
  assert.match(epoch, /^\d+$/)
  assert.ok(Math.abs(server_time - Date.now()) < 60_000)
  assert.deepEqual(limits, { frame_bytes: 16 << 20, document_bytes: 10 << 20, file_bytes: 512 << 20, page_items: 1000,
    batch_items: 1000, documents: 256, wait_s: 55, clock_drift_ms: 100 })
  assert.equal(alice.socket.protocol, 'sheaf.v1')
  await logged(server, 'WebSocket connection from 127.0.0.1')
  await logged(server, "User 'alice' authenticated for vault 'personal'")
})

test('who may not come in is told why', async (t) => {
  const server = await guarded(t, '[limits]\nauth_timeout_s = 1\n')
  const refused = async (first) => {
    const channel = await Channel.open(t, server)
    if (first) channel.send(first)
    const { code, re } = await channel.hear((it) => it.type === 'error')
    return [code, re, await channel.end()]
  }
  const auth = (token, vault) => ({ type: 'auth', re: 7, token, vault })
  assert.deepEqual(await refused(auth('no such token, certainly', 'personal')), ['AUTH_INVALID_TOKEN', 7, 4401])
  await logged(server, 'Authentication failed: Invalid token from 127.0.0.1')
  assert.deepEqual(await refused(auth(TOKENS.alice, 'shared')), ['VAULT_FORBIDDEN', 7, 4403])
  await logged(server, "User 'alice' denied access to vault 'shared'")
  assert.deepEqual(await refused({ type: 'list_files', re: 7 }), ['AUTH_REQUIRED', 7, 4401])
  assert.deepEqual(await refused({ type: 'auth', re: 7, vault: 'personal' }), ['AUTH_REQUIRED', 7, 4401])
  assert.deepEqual(await refused({ type: 'hello', re: 7 }), ['UNKNOWN_TYPE', 7, 4400])
  assert.deepEqual(await refused(auth(TOKENS.alice, 'no/name')), ['INVALID_MESSAGE', 7, 4400])
  assert.deepEqual(await refused(auth(TOKENS.eve, 'shared')), ['VAULT_NOT_FOUND', 7, 4404])
  assert.deepEqual(await refused(null), ['AUTH_TIMEOUT', undefined, 4401])
})

test('the path may name the vault, and the upgrade may have the token', async (t) => {
  const server = await guarded(t)
  const headers = { authorization: `Bearer ${TOKENS.alice}` }
  const channel = await Channel.open(t, server, { path: '/v1/vaults/personal/channel', headers, protocols: [] })
  assert.equal((await channel.ask({ type: 'auth' })).user, 'alice')
  assert.equal((await channel.ask({ type: 'auth' })).code, 'INVALID_MESSAGE')
  const other = await Channel.open(t, server, { path: '/v1/vaults/personal/channel', headers })
  assert.equal((await other.ask({ type: 'auth', vault: 'shared' })).code, 'INVALID_MESSAGE')
  assert.equal(await other.end(), 4400)
})

test('another version of the channel is refused before it begins', async (t) => {
  const server = await guarded(t)
  const socket = new WebSocket(server.ws + '/v1/ws', ['sheaf.v9'])
  const status = await new Promise((resolve) => {
    socket.on('error', () => {})
    socket.on('unexpected-response', (_, response) => resolve(response.statusCode))
  })
  assert.equal(status, 426)
  const both = await Channel.open(t, server, { protocols: ['sheaf.v9', 'sheaf.v1'] })
  assert.equal(both.socket.protocol, 'sheaf.v1')
})

for (const form of ['json', 'msgpack']) {
  test(`files are written, read, moved and deleted, and everybody hears of it: ${form}`, async (t) => {
    const server = await guarded(t)
    const device = 'b57a77385cbd4067'
    const alice = await Channel.as(t, server, 'alice', { form, device })
    const bob = await Channel.as(t, server, 'bob', { form })
    const path = 'notes/h\u00e9.md'
    const text = 'h\u00e9 \ud83d\ude00\n'
    const ack = await alice.ask({ type: 'upload_file', path, content: text, base_version: 0, timestamp: 1 })
    assert.equal(ack.type, 'ack')
    assert.deepEqual([ack.path, ack.size, ack.hash, ack.created], [path, Buffer.byteLength(text), hash(text), true])
    for (const channel of [alice, bob]) {
      const { version, id, size, user, kind, by, stamp, from } = await channel.hear((it) => it.type === 'file_updated')
      assert.deepEqual([version, id, size, user, kind], [ack.version, ack.id, ack.size, 'alice', 'text'])
      assert.deepEqual([by, from], [device, undefined])
      assert.match(stamp, /^[0-7][0-9A-HJKMNP-TV-Z]{25}$/)
    }
    assert.equal(bob.frames.every((frame) => frame.isBinary === (form === 'msgpack')), true)
    await logged(server, `Upload: ${path} (v0 -> v${ack.version})`)
    await logged(server, 'Broadcast to 1 clients')

    const content = await bob.ask({ type: 'download_file', path })
    assert.deepEqual([content.type, content.content, content.version, content.hash], ['file_content', text, ack.version, hash(text)])
    const again = await alice.ask({ type: 'upload_file', path, content: text })
    assert.deepEqual([again.version, again.changed], [ack.version, false])

    const difference = await bob.ask({ type: 'upload_file', path, diff: [2, '!', -1], base_version: ack.version })
    assert.equal((await bob.ask({ type: 'download_file', path })).content, 'h\u00e9!\ud83d\ude00\n')

    const moved = await bob.ask({ type: 'move_file', path, to: 'b.md' })
    assert.deepEqual([moved.path, moved.id], ['b.md', ack.id])
    const heard = await alice.hear((it) => it.type === 'file_updated' && it.path === 'b.md')
    assert.deepEqual([heard.id, heard.version, heard.from, heard.by], [ack.id, moved.version, path, undefined])
    const { versions } = await (await http(server, 'alice', '/files/b.md?versions=1')).json()
    assert.deepEqual(versions.map((it) => it.client_ms), [null, null, 1])

    const wins = await alice.ask({ type: 'delete_file', path: 'b.md', base_version: ack.version })
    assert.deepEqual([wins.code, wins.details.version], ['EDIT_WINS', moved.version])
    const gone = await alice.ask({ type: 'delete_file', path: 'b.md', base_version: difference.version + 1 })
    const deleted = await bob.hear((it) => it.type === 'file_deleted')
    assert.deepEqual([deleted.path, deleted.id, deleted.version, deleted.by], ['b.md', ack.id, gone.version, device])
    assert.equal((await bob.ask({ type: 'download_file', path: 'b.md' })).code, 'FILE_NOT_FOUND')
    const list = await bob.ask({ type: 'list_files', since_version: ack.version })
    assert.deepEqual(list.files.map((file) => [file.path, file.deleted]), [['b.md', true]])
    assert.deepEqual((await bob.ask({ type: 'list_files' })).files, [])
  })
}

test('an answer comes in the form in which the client spoke last', async (t) => {
  const server = await guarded(t)
  const alice = await Channel.as(t, server, 'alice')
  alice.form = 'msgpack'
  await alice.ask({ type: 'ping' })
  assert.equal(alice.frames.at(-1).isBinary, true)
  alice.form = 'json'
  await alice.ask({ type: 'ping' })
  assert.equal(alice.frames.at(-1).isBinary, false)
})

test('a client goes on where it was, and is told when it has everything', async (t) => {
  const server = await guarded(t)
  const sizes = Array.from({ length: 450 }, (_, at) => at + 1)
  const writer = await Channel.as(t, server, 'alice')
  const items = sizes.map((size) => ({ id: size, type: 'upload_file', path: `f/${size}.md`, content: 'x'.repeat(size) }))
  const pushed = await writer.ask({ type: 'push', items, mode: 'independent' })
  assert.deepEqual([pushed.success.length, pushed.failures, pushed.blocked], [450, [], []])
  assert.deepEqual(pushed.success.map((it) => it.id), sizes)
  const total = sizes.reduce((sum, size) => sum + size, 0)

  const fresh = await Channel.as(t, server, 'bob', { since: 0 })
  const complete = await fresh.hear((it) => it.type === 'sync_complete')
  assert.deepEqual(complete, { type: 'sync_complete', total_files: 450, current_version: pushed.version, bytes: total })
  const versions = fresh.heard.map((it) => it.version)
  assert.equal(versions.length, 450)
  assert.ok(versions.every((version, at) => at === 0 || version > versions[at - 1]))

  const back = await Channel.as(t, server, 'bob', { since: versions[440], epoch: fresh.ok.epoch })
  assert.equal((await back.hear((it) => it.type === 'sync_complete')).bytes > 0, true)
  assert.deepEqual(back.heard.map((it) => it.version), versions.slice(441))

  const lister = await Channel.as(t, server, 'bob')
  let since = 0
  const files = []
  for (let more = true; more; ) {
    const page = await lister.ask({ type: 'list_files', since_version: since, limit: 200 })
    files.push(...page.files)
    since = page.next
    more = page.has_more
  }
  assert.equal(files.length, 450)
  await lister.hear((it) => it.type === 'sync_complete')
  await lister.ask({ type: 'list_files' })
  await lister.ask({ type: 'ping' })
  assert.equal(lister.heard.length, 0, 'it is told once')

  const changes = await lister.ask({ type: 'get_changes', since: versions[448] })
  assert.deepEqual(changes.items.map((it) => [it.seq, it.op, it.collection]), [[versions[449], 'put', 'files']])
})

test('a cursor that the feed does not know is refused, and the channel stays', async (t) => {
  const server = await guarded(t)
  const alice = await Channel.as(t, server, 'alice', { since: 99 })
  const expired = await alice.hear((it) => it.type === 'error')
  assert.deepEqual([expired.code, expired.details.version], ['CURSOR_EXPIRED', 0])
  assert.equal((await alice.ask({ type: 'list_files', since_version: 7 })).code, 'CURSOR_EXPIRED')
  const other = await Channel.as(t, server, 'bob', { since: 0, epoch: '12345' })
  assert.equal((await other.hear((it) => it.type === 'error')).code, 'EPOCH_CHANGED')
  await alice.ask({ type: 'upload_file', path: 'a.md', content: 'a' })
  await other.hear((it) => it.type === 'file_updated')
})

test('who may read alone may not write, and a token that is taken back ends the channel', async (t) => {
  const server = await guarded(t)
  const bob = await Channel.as(t, server, 'bob', { vault: 'shared' })
  await bob.ask({ type: 'upload_file', path: 'a.md', content: 'a' })
  const eve = await Channel.as(t, server, 'eve', { vault: 'shared', since: 0 })
  assert.equal((await eve.ask({ type: 'download_file', path: 'a.md' })).content, 'a')
  for (const write of [{ type: 'upload_file', content: 'b' }, { type: 'delete_file' }, { type: 'move_file', to: 'b.md' }]) {
    assert.equal((await eve.ask({ path: 'a.md', ...write })).code, 'READ_ONLY')
  }
  const sessions = await (await fetch(`${server.http}/v1/sessions`, { headers: { authorization: `Bearer ${TOKENS.root}` } })).json()
  const eves = sessions.sessions.find((session) => session.user === 'eve')
  assert.deepEqual([eves.dialect, eves.vault], ['channel', 'shared'])
  await fetch(`${server.http}/v1/sessions/${eves.id}`, { method: 'DELETE', headers: { authorization: `Bearer ${TOKENS.root}` } })
  assert.equal((await eve.hear((it) => it.type === 'error')).code, 'VAULT_FORBIDDEN')
  assert.equal(await eve.end(), 4403)
})

test('what somebody types in an editor and what is written over HTTP is in the feed', async (t) => {
  const server = await guarded(t)
  const alice = await Channel.as(t, server, 'alice')
  assert.equal((await put(server, 'bob', 'a.md', 'one\n')).status, 201)
  const first = await alice.hear((it) => it.type === 'file_updated')
  assert.deepEqual([first.path, first.user, first.hash], ['a.md', 'bob', hash('one\n')])
  const sync = await alice.ask({ type: 'doc_sync', id: first.id })
  const doc = new Y.Doc()
  Y.applyUpdate(doc, Buffer.from(sync.update, 'base64'))
  assert.equal(doc.getText('content').toString(), 'one\n')
  await put(server, 'bob', 'a.md', 'one\ntwo\n')
  Y.applyUpdate(doc, Buffer.from((await alice.hear((it) => it.type === 'doc_update')).update, 'base64'))
  assert.equal(doc.getText('content').toString(), 'one\ntwo\n')
})

for (const form of ['json', 'msgpack']) {
  test(`a document is edited over the channel: ${form}`, async (t) => {
    const server = await guarded(t)
    const bytes = (value) => form === 'json' ? Buffer.from(value, 'base64') : value
    const said = (value) => form === 'json' ? Buffer.from(value).toString('base64') : value
    const join = async (user, doc, id) => {
      const channel = await Channel.as(t, server, user, { form })
      const { update } = await channel.ask({ type: 'doc_sync', id, sv: said(Y.encodeStateVector(doc)) })
      Y.applyUpdate(doc, bytes(update), 'server')
      return channel
    }
    const { id } = await (await put(server, 'alice', 'a.md', 'start\n')).json()
    const [one, two] = [new Y.Doc(), new Y.Doc()]
    const alice = await join('alice', one, id)
    const bob = await join('bob', two, id)
    const before = Y.encodeStateVector(one)
    one.getText('content').insert(6, 'alice was here\n')
    const ack = await alice.ask({ type: 'doc_update', id, update: said(Y.encodeStateAsUpdate(one, before)) })
    assert.deepEqual([ack.type, ack.id, ack.changed], ['ack', id, true])
    Y.applyUpdate(two, bytes((await bob.hear((it) => it.type === 'doc_update')).update))
    assert.equal(two.getText('content').toString(), 'start\nalice was here\n')
    await bob.hear((it) => it.type === 'file_updated' && it.hash === hash('start\nalice was here\n'))

    const three = Y.encodeStateVector(one)
    one.getText('content').insert(0, 'a')
    const behind = Y.encodeStateVector(one)
    one.getText('content').insert(0, 'b')
    const gap = await alice.ask({ type: 'doc_update', id, update: said(Y.encodeStateAsUpdate(one, behind)) })
    assert.equal(gap.code, 'GAP_LEFT_OPEN')
    assert.deepEqual(Y.decodeStateVector(Buffer.from(gap.details.sv, 'base64')), Y.decodeStateVector(three))

    assert.equal((await alice.ask({ type: 'doc_update', id, update: said(Uint8Array.of(1, 2, 3)) })).code, 'MALFORMED')
    assert.equal((await bob.ask({ type: 'doc_close', id })).type, 'ack')
    await alice.ask({ type: 'doc_update', id, update: said(Y.encodeStateAsUpdate(one, three)) })
    await bob.hear((it) => it.type === 'file_updated' && it.size === 'bastart\nalice was here\n'.length)
    assert.equal(bob.heard.some((it) => it.type === 'doc_update'), false)
    assert.equal((await bob.ask({ type: 'doc_sync', id: '01ARZ3NDEKTSV4RRFFQ69G5FAV' })).code, 'FILE_NOT_FOUND')
    await alice.ask({ type: 'delete_file', path: 'a.md' })
    assert.equal((await alice.hear((it) => it.type === 'error')).details.id, id)
  })
}

test('each bound has its code, and the channel stays open', async (t) => {
  const server = await guarded(t)
  const alice = await Channel.as(t, server, 'alice', { form: 'msgpack' })
  const upload = (content) => alice.ask({ type: 'upload_file', path: 'big.md', content })
  assert.equal((await upload('x'.repeat((10 << 20) + 1))).code, 'FILE_TOO_LARGE')
  assert.equal((await upload('x'.repeat(10 << 20))).size, 10 << 20)
  const items = (count) => Array.from({ length: count }, (_, id) => ({ id, type: 'delete_file', path: `${id}.md` }))
  assert.equal((await alice.ask({ type: 'push', items: items(1001) })).code, 'BATCH_TOO_LARGE')
  const pushed = await alice.ask({ type: 'push', items: items(1000), mode: 'independent' })
  assert.equal(pushed.failures.length, 1000)
  assert.equal((await alice.ask({ type: 'list_files', limit: 1001 })).details.field, 'limit')
  assert.equal((await alice.ask({ type: 'list_files', limit: 1000 })).type, 'file_list')
  assert.equal((await alice.ask({ type: 'rename', path: 'a' })).code, 'UNKNOWN_TYPE')
  assert.deepEqual((await alice.ask({ type: 'download_file', path: 7 })).details, { field: 'path' })
  assert.deepEqual((await alice.ask({ type: 'upload_file', path: '../a', content: '' })).details, { field: 'path' })
  assert.equal((await alice.ask({ type: 'upload_file', path: 'a' })).code, 'INVALID_MESSAGE')
  const MAX = 16 << 20
  const refused = () => alice.heard.filter((it) => it.type === 'error' && it.code === 'TOO_LARGE')
  const fragments = (...sizes) => sizes.forEach((size, at) => {
    alice.socket.send(new Uint8Array(size), { binary: true, fin: at === sizes.length - 1 })
  })
  const overlong = [
    () => alice.socket.send(encode({ z: zeros(MAX + 1) })),
    () => alice.socket.send(new Uint8Array(MAX + 1)),
    () => alice.socket.send(' '.repeat(MAX + 1)),
    () => fragments(MAX / 2, MAX / 2, 1),
    () => fragments(1, MAX + 1, MAX + 1, 1),
    () => fragments(MAX + 1, 0, MAX),
    () => alice.socket.send(new Uint8Array(4 * MAX))
  ]
  const before = refused().length
  for (const [at, send] of overlong.entries()) {
    send()
    assert.equal((await alice.ask({ type: 'ping' })).type, 'pong', `${at}`)
    assert.equal(refused().length, before + at + 1, `${at}: told once`)
  }
  assert.deepEqual(refused().at(-1).details, { max: MAX })
  assert.equal((await alice.ask({ type: 'upload_file', path: 'big.md', content: 'small' })).size, 5)
})

test('who has not said who it is may send nothing over the bound, and nobody for ever', async (t) => {
  const server = await guarded(t)
  const nobody = await Channel.open(t, server)
  nobody.socket.send(' '.repeat((16 << 20) + 1))
  assert.equal(await nobody.end(), 4413)
  const alice = await Channel.as(t, server, 'alice')
  // The header of a frame of a pebibyte, masked with zeros, under the library.
  alice.socket._socket.write(Uint8Array.of(0x82, 0xff, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0))
  assert.equal(await alice.end(), 4413)
})

test('two who edit the same version get one text, and the later one is told which', async (t) => {
  const server = await guarded(t)
  const alice = await Channel.as(t, server, 'alice', { device: '000000000000000a' })
  const bob = await Channel.as(t, server, 'bob')
  const path = 'note.md'
  const first = await alice.ask({ type: 'upload_file', path, content: '# note\n', base_version: 0 })
  const upload = (channel, line) => channel.ask({ type: 'upload_file', path, content: `# note\n${line}\n`, base_version: first.version })
  const [a, b] = [await upload(alice, 'line A'), await upload(bob, 'line B')]
  assert.deepEqual([a.merged, a.content, b.merged], [false, undefined, true])
  assert.deepEqual(b.content.split('\n').sort(), ['', '# note', 'line A', 'line B'])
  assert.ok(b.version > a.version && b.hash === hash(b.content))
  assert.equal((await alice.hear((it) => it.version === b.version)).hash, b.hash)
  await logged(server, `Conflict resolved: ${path} (v${b.version})`)
  const old = await bob.ask({ type: 'download_file', path, version: a.version })
  assert.deepEqual([old.content, old.version], ['# note\nline A\n', a.version])
  assert.equal((await bob.ask({ type: 'download_file', path, version: 0 })).code, 'VERSION_NOT_FOUND')
  const late = await bob.ask({ type: 'upload_file', path, diff: [7, 'line C\n'], base_version: first.version })
  assert.deepEqual([late.merged, late.content.includes('line A'), late.content.includes('line C')], [true, true, true])
  const union = await bob.ask({ type: 'upload_file', path, content: '# note\nline D\n', base_version: 0 })
  for (const line of 'ABCD') assert.ok(union.content.includes(`line ${line}`), union.content)
})

for (const form of ['json', 'msgpack']) {
  test(`a file that is no text is kept as bytes, and the newest wins: ${form}`, async (t) => {
    const server = await guarded(t)
    const alice = await Channel.as(t, server, 'alice', { form })
    const bytes = (last) => Uint8Array.of(0x89, 0x50, 0x4e, 0x47, 0, last)
    const upload = (last, more) => alice.ask({ type: 'upload_file', path: 'a.png', ...more, ...(form === 'json'
      ? { content: Buffer.from(bytes(last)).toString('base64'), encoding: 'base64' } : { content: bytes(last) }) })
    const first = await upload(1)
    assert.deepEqual([first.size, first.hash, first.created], [6, hash(bytes(1)), true])
    assert.equal((await alice.hear((it) => it.type === 'file_updated')).kind, 'blob')
    const two = await upload(2, { base_version: first.version })
    const three = await upload(3, { base_version: first.version })
    assert.deepEqual([two.conflict, three.conflict], [false, true])
    const now = await alice.ask({ type: 'download_file', path: 'a.png' })
    assert.deepEqual([now.kind, now.content, now.hash], ['blob', undefined, hash(bytes(3))])
    const fetched = await fetch(server.http + now.blob, { headers: { authorization: `Bearer ${TOKENS.alice}` } })
    assert.deepEqual(new Uint8Array(await fetched.arrayBuffer()), bytes(3))
    const old = await alice.ask({ type: 'download_file', path: 'a.png', version: first.version })
    assert.equal(old.hash, hash(bytes(1)))
    const copy = await alice.ask({ type: 'upload_file', path: 'b.png', blob: hash(bytes(2)) })
    assert.deepEqual([copy.size, copy.hash], [6, hash(bytes(2))])
    const missing = await alice.ask({ type: 'upload_file', path: 'c.png', blob: hash('nobody has this') })
    assert.deepEqual([missing.code, missing.details.blob], ['BLOB_MISSING', hash('nobody has this')])
  })
}

test('an upload that comes again with its stamp changes nothing', async (t) => {
  const server = await guarded(t)
  const alice = await Channel.as(t, server, 'alice')
  const upload = { type: 'upload_file', path: 'a.md', content: 'once\n', base_version: 0, stamp: '01ARZ3NDEKTSV4RRFFQ69G5FAV' }
  const first = await alice.ask(upload)
  const again = await alice.ask(upload)
  assert.deepEqual([again.version, again.hash, again.changed], [first.version, first.hash, false])
  assert.equal((await alice.ask({ ...upload, content: 'twice\n' })).code, 'STAMP_REUSED')
  const drift = await alice.ask({ ...upload, stamp: '7ZZZZZZZZZZZZZZZZZZZZZZZZZ' })
  assert.equal(drift.code, 'CLOCK_DRIFT')
  assert.ok(Math.abs(drift.details.server_time - Date.now()) < 60_000)
})

test('a push that comes again whole with its stamps is answered as before', async (t) => {
  const server = await guarded(t)
  const alice = await Channel.as(t, server, 'alice')
  const write = async (path) => (await alice.ask({ type: 'upload_file', path, content: `${path}\n` })).version
  for (const path of ['gone.md', 'old.md', 'dir/1', 'dir/2']) await write(path)
  const base = await write('kept.md')
  const stamp = (last) => `01ARZ3NDEKTSV4RRFFQ69G5FA${last}`
  const items = [
    { id: 1, type: 'delete_file', path: 'gone.md', base_version: base, stamp: stamp(1) },
    { id: 2, type: 'move_file', path: 'old.md', to: 'new.md', stamp: stamp(2) },
    { id: 3, type: 'upload_file', path: 'kept.md', diff: [7, '!'], base_version: base, stamp: stamp(3) },
    { id: 4, type: 'delete_file', path: 'dir/', stamp: stamp(4) },
    { id: 5, type: 'upload_file', path: 'gone.md', content: 'another\n', base_version: 0, stamp: stamp(5) }
  ]
  const told = ({ success, failures, blocked }) => [failures, blocked, success.map(({ id, data }) =>
    [id, data.path, data.id, data.version, data.count, data.hash])]
  const first = await alice.ask({ type: 'push', items, mode: 'atomic' })
  assert.deepEqual(first.success.map((it) => it.id), [1, 2, 3, 4, 5])
  await logged(server, `Upload: kept.md (v${base} -> v${first.success[2].data.version})`)
  await write('old.md')
  await alice.ask({ type: 'delete_file', path: 'kept.md' })
  const { version } = await alice.ask({ type: 'get_changes', since: 0 })
  for (const mode of ['atomic', 'ordered', 'independent']) {
    const again = await alice.ask({ type: 'push', items, mode })
    assert.deepEqual(told(again), told(first), mode)
    assert.equal(again.version, version, 'nothing has changed')
  }
  const other = await alice.ask({ ...items[1], to: 'elsewhere.md' })
  assert.equal(other.code, 'STAMP_REUSED')
})

test('a difference that comes again with its stamp needs no base', async (t) => {
  const server = await guarded(t)
  const alice = await Channel.as(t, server, 'alice')
  const { version } = await alice.ask({ type: 'upload_file', path: 'a.md', content: 'one\n' })
  const stamp = '01ARZ3NDEKTSV4RRFFQ69G5FAV'
  const edit = { type: 'upload_file', path: 'a.md', diff: [3, '!'], base_version: version, stamp }
  const first = await alice.ask(edit)
  assert.equal((await alice.ask(edit)).version, first.version)
  await alice.ask({ type: 'move_file', path: 'a.md', to: 'b.md' })
  const again = await alice.ask(edit)
  assert.deepEqual([again.version, again.path, again.content, again.changed], [first.version, 'b.md', 'one!\n', false])
  const items = [{ id: 1, ...edit }, { id: 2, type: 'upload_file', path: 'c.md', content: 'c\n' }]
  const { success } = await alice.ask({ type: 'push', items, mode: 'atomic' })
  assert.deepEqual(success.map((it) => [it.id, it.data.path]), [[1, 'b.md'], [2, 'c.md']])
  assert.equal(success[0].data.version, first.version)
  const { code } = await alice.ask({ ...edit, stamp: '01ARZ3NDEKTSV4RRFFQ69G5FAW' })
  assert.notEqual(code, undefined, 'another one has nothing to be a difference to')
})

test('an editor sees what a push writes into its file, and nothing of one that is refused', async (t) => {
  const server = await guarded(t)
  const editor = await Channel.as(t, server, 'alice')
  const bob = await Channel.as(t, server, 'bob')
  const { id } = await (await put(server, 'alice', 'a.md', 'one\ntwo\n')).json()
  const doc = new Y.Doc()
  const sv = Buffer.from(Y.encodeStateVector(doc)).toString('base64')
  const { update } = await editor.ask({ type: 'doc_sync', id, sv })
  Y.applyUpdate(doc, Buffer.from(update, 'base64'))
  const text = doc.getText('content')
  const cursor = Y.createRelativePositionFromTypeIndex(text, 'one\ntw'.length)
  const push = (...items) => bob.ask({ type: 'push', items: items.map((it, id) => ({ id, ...it })), mode: 'atomic' })
  const mine = { type: 'upload_file', path: 'a.md', content: 'one, and more\ntwo\n' }
  const refused = await push(mine, { type: 'delete_file', path: 'nowhere.md' })
  assert.deepEqual([refused.success.length, refused.failures[0].id], [0, 1])
  const done = await push(mine, { type: 'upload_file', path: 'b.md', content: 'b\n' })
  assert.equal(done.success.length, 2)
  const edit = await editor.hear((it) => it.type === 'doc_update')
  Y.applyUpdate(doc, Buffer.from(edit.update, 'base64'))
  assert.equal(text.toString(), mine.content)
  assert.equal(Y.createAbsolutePositionFromRelativePosition(cursor, doc).index, 'one, and more\ntw'.length)
  const seen = await editor.hear((it) => it.type === 'file_updated' && it.path === 'a.md' && it.size === mine.content.length)
  assert.equal(seen.version, done.success[0].data.version)
  // What the editor writes goes on from there.
  const before = Y.encodeStateVector(doc)
  text.insert(0, 'zero\n')
  const written = Buffer.from(Y.encodeStateAsUpdate(doc, before)).toString('base64')
  assert.equal((await editor.ask({ type: 'doc_update', id, update: written })).changed, true)
  assert.equal((await bob.ask({ type: 'download_file', path: 'a.md' })).content, 'zero\none, and more\ntwo\n')
  assert.equal(editor.heard.filter((it) => it.type === 'doc_update').length, 1, 'and of the refused one nothing')
})

test('a push stops behind a failure, or does not, as it is asked', async (t) => {
  const server = await guarded(t)
  const alice = await Channel.as(t, server, 'alice')
  const items = ['a', 'b', '../bad', 'd', 'e'].map((path, id) => ({ id, type: 'upload_file', path, content: path }))
  const ids = (list) => list.map((it) => it.id)
  const ordered = await alice.ask({ type: 'push', items })
  assert.deepEqual([ids(ordered.success), ids(ordered.failures), ids(ordered.blocked)], [[0, 1], [2], [3, 4]])
  assert.equal(ordered.failures[0].error.code, 'INVALID_PATH')
  const independent = await alice.ask({ type: 'push', items, mode: 'independent' })
  assert.deepEqual([ids(independent.success), ids(independent.failures), ids(independent.blocked)], [[0, 1, 3, 4], [2], []])
  assert.deepEqual(independent.success[0].sync_ids, ordered.success[0].sync_ids, 'what changes nothing takes no number')
  const { version } = await alice.ask({ type: 'get_changes', since: 0 })
  assert.equal(independent.version, version)
  const all = items.map((it) => ({ ...it, content: `${it.path}, all or none` }))
  const atomic = await alice.ask({ type: 'push', items: all, mode: 'atomic' })
  assert.deepEqual([ids(atomic.success), ids(atomic.failures), ids(atomic.blocked)], [[], [2], [0, 1, 3, 4]])
  assert.deepEqual([atomic.failures[0].error.code, atomic.version], ['INVALID_PATH', version], 'nothing is stored')
  all[2].path = 'c'
  const done = await alice.ask({ type: 'push', items: all, mode: 'atomic' })
  assert.deepEqual([ids(done.success), done.failures, done.version], [[0, 1, 2, 3, 4], [], version + 5])
  assert.equal((await alice.ask({ type: 'download_file', path: 'a' })).content, 'a, all or none')
})

test('large frames are compressed where the client can read that', async (t) => {
  const server = await guarded(t)
  const alice = await Channel.as(t, server, 'alice', { form: 'msgpack', compress: true })
  const content = 'the same again and again\n'.repeat(10_000)
  const message = { type: 'upload_file', re: 'packed', path: 'a.md', content }
  alice.socket.send(encode({ z: stored(encode(message)) }))
  assert.equal((await alice.hear((it) => it.re === 'packed')).size, content.length)
  const answer = await alice.ask({ type: 'download_file', path: 'a.md' })
  assert.deepEqual([answer.packed, answer.content === content], [true, true])
  assert.ok(alice.frames.at(-1).bytes < content.length / 50, `${alice.frames.at(-1).bytes} bytes`)
  assert.equal((await alice.ask({ type: 'ping' })).packed, undefined)
  const bob = await Channel.as(t, server, 'bob', { form: 'msgpack' })
  assert.equal((await bob.ask({ type: 'download_file', path: 'a.md' })).packed, undefined)
})

test('a client that asks for much and reads nothing costs one answer', async (t) => {
  const server = await guarded(t)
  const alice = await Channel.as(t, server, 'alice', { form: 'msgpack' })
  await alice.ask({ type: 'upload_file', path: 'big.md', content: 'x'.repeat(8 << 20) })
  const memory = async () => 1024 * Number(/VmRSS:\s+(\d+)/.exec(await readFile(`/proc/${server.child.pid}/status`, 'utf8'))[1])
  const bob = await Channel.as(t, server, 'bob', { form: 'msgpack' })
  const before = await memory()
  bob.socket.pause()
  for (let re = 0; re < 40; re++) bob.send({ type: 'download_file', re: 1000 + re, path: 'big.md' })
  await alice.ask({ type: 'upload_file', path: 'a.md', content: 'a' })
  const after = await memory()
  assert.ok(after - before < 100 << 20, `${after - before} bytes more`)
  bob.socket.resume()
  for (let re = 0; re < 40; re++) assert.equal((await bob.hear((it) => it.re === 1000 + re)).size, 8 << 20)
})

test('requests are answered in their order, and what was acknowledged survives a kill', async (t) => {
  const server = await guarded(t)
  const alice = await Channel.as(t, server, 'alice')
  for (let re = 0; re < 100; re++) alice.send({ type: 'upload_file', re, path: `${re % 10}.md`, content: `${re}` })
  await until(() => alice.heard.filter((it) => it.type === 'ack').length >= 50, 'half of the answers')
  await server.kill()
  await alice.end()
  const acks = alice.heard.filter((it) => it.type === 'ack')
  assert.deepEqual(acks.map((ack) => ack.re), acks.map((_, at) => at))
  await server.restart()
  const bob = await Channel.as(t, server, 'bob', { since: 0 })
  assert.ok(bob.ok.version >= acks.at(-1).version)
  for (const ack of acks.slice(-10)) {
    const { content } = await bob.ask({ type: 'download_file', path: ack.path })
    assert.ok(Number(content) >= ack.re && Number(content) % 10 === ack.re % 10, `${ack.path} has ${content}`)
  }
})
