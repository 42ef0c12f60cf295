// Bad input in the dialects of Hocuspocus and Y-Sweet: it hurts its sender, who is told, and nobody
// else. In each test two honest clients edit the document before and after.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as Y from 'yjs'
import { Client } from './families/hocuspocus.mjs'
import { newRoom } from './families/replica.mjs'
import { Client as YSweet, managerFor } from './families/ysweet.mjs'
import { guarded, serverToken, TOKENS, users } from './guarded.mjs'
import { frame, hocuspocus, Raw } from './raw.mjs'
import { Server } from './server.mjs'
import { until } from './until.mjs'

const MALFORMED = [4400]
/** Too large, or too many: whether bytes or frames ran out. Hocuspocus itself says 4205 to all. */
const OVER = [4413, 4529]
/** The client is to come back. */
const AGAIN = [1013]
/** Too slow. */
const LATE = [4504]
const DOCUMENTS = 1000
/** More than the worthless tokens that a socket may show. */
const MANY = 40
const FLOOD = 20_000
const EDIT = (() => {
  const doc = new Y.Doc()
  doc.getText('content').insert(0, 'smuggled ')
  return Y.encodeStateAsUpdate(doc)
})()

/** Two honest clients in `room`; call what it gives when the bad input has been sent. */
const bystanders = async (t, server, room, options) => {
  const [ann, ben] = await Promise.all(
    ['Ann', 'Ben'].map(() => Client.for(t, server.ws, room, options))
  )
  ann.append('unhurt')
  await ben.has('unhurt')
  const unhurt = async () => {
    ben.append('!')
    await ann.has('unhurt!')
    await Promise.all([ann.saved(), ben.saved()])
    assert.deepEqual([...ann.closes, ...ben.closes], [])
    const late = await Client.for(t, server.ws, room, options)
    assert.equal(late.string, 'unhurt!')
  }
  return { ann, ben, unhurt }
}

const told =
  (address, ...start) =>
  (bytes) => {
    const message = hocuspocus.read(bytes)
    const [type, ...payload] = start
    return (
      message?.address === address &&
      message.type === type &&
      payload.every((byte, at) => message.payload[at] === byte)
    )
  }
const letIn = (address) => told(address, 2, 2)
const denied = (address) => told(address, 2, 1)
const synced = (address) => told(address, 0, 1)
/** The addresses of all that the socket has heard of. */
const addresses = (raw) => new Set(raw.heard.map((bytes) => hocuspocus.read(bytes)?.address))

/** A raw socket that is in `room`. */
const inside = async (t, server, room, token = '') => {
  const raw = await Raw.open(t, server.ws)
  raw.send(hocuspocus.token(room, token), hocuspocus.step1(room))
  await raw.hears('the sync', synced(room))
  return raw
}

/** Waits for a close with one of `codes`. */
const endsWith = async (raw, codes) => {
  const code = await raw.ends()
  assert.ok(codes.includes(code), `closed with ${code}, not one of ${codes}`)
}

test('frames for a document that was never opened are worth nothing', async (t) => {
  const { server } = await guarded(t)
  const [room, own] = [newRoom('secret'), newRoom('own')]
  const { ben, unhurt } = await bystanders(t, server, room, { token: TOKENS.write })
  const raw = await inside(t, server, own, TOKENS.write)
  raw.send(
    hocuspocus.update(room, EDIT),
    hocuspocus.awareness(room, frame(1, 4711, 1, '{"user":{"name":"Mallory"}}')),
    hocuspocus.stateless(room, 'psst'),
    hocuspocus.close(room)
  )
  // Asked on the same socket, so what stands before it has been read.
  raw.send(hocuspocus.token(room, 'worthless'))
  await raw.hears('the refusal', denied(room))
  assert.equal(raw.heard.filter((bytes) => hocuspocus.read(bytes)?.address === room).length, 1)
  assert.equal(ben.awareness.getStates().has(4711), false)
  assert.deepEqual(ben.stateless, [])
  await unhurt()
  raw.send(hocuspocus.update(own, EDIT))
  await raw.hears('the acknowledgement in its own document', told(own, 8, 1))
})

test("a document's session never changes hands: another user's token ends the socket", async (t) => {
  const { server } = await guarded(t)
  const room = newRoom()
  const { unhurt } = await bystanders(t, server, room, { token: TOKENS.write })
  const raw = await inside(t, server, room, TOKENS.write)
  const scopes = () => raw.heard.filter(letIn(room)).length
  assert.equal(scopes(), 1)
  raw.send(hocuspocus.token(room, TOKENS.write), hocuspocus.update(room, Uint8Array.of(0, 0)))
  await raw.hears('the acknowledgement behind its own token', told(room, 8, 1))
  await until(() => scopes() === 2, 'one answer to it')
  raw.send(hocuspocus.token(room, TOKENS.admin))
  await endsWith(raw, AGAIN)
  assert.equal(scopes(), 2)
  await unhurt()
})

test('who has not shown a good token in time is closed, whatever else it says', async (t) => {
  const { server } = await guarded(t, { SHEAF_LIMITS__AUTH_TIMEOUT_S: '2' })
  const room = newRoom()
  const { unhurt } = await bystanders(t, server, room, { token: TOKENS.write })
  const [early, silent, ...talking] = await Promise.all(
    Array.from({ length: 5 }, () => Raw.open(t, server.ws))
  )
  early.send(hocuspocus.token(newRoom(), TOKENS.read))
  const [denials, edits, pongs] = talking
  const said = setInterval(() => {
    denials.send(hocuspocus.awareness(room, frame(0)))
    edits.send(hocuspocus.update(room, EDIT))
    pongs.send(Uint8Array.of(10))
  }, 100)
  t.after(() => clearInterval(said))
  denials.send(hocuspocus.token(room, 'worthless'))
  await Promise.all([silent, ...talking].map((raw) => endsWith(raw, LATE)))
  assert.ok(denials.heard.some(denied(room)))
  for (const raw of [silent, edits, pongs]) assert.deepEqual(raw.heard, [])
  // One document that it was let into is enough.
  early.send(hocuspocus.token(room, TOKENS.read), hocuspocus.step1(room))
  await early.hears('the sync', synced(room))
  await unhurt()
})

test('what waits for a token is bounded', async (t) => {
  const { server } = await guarded(t)
  const room = newRoom()
  const { unhurt } = await bystanders(t, server, room, { token: TOKENS.write })
  const many = await Raw.open(t, server.ws)
  many.send(...Array.from({ length: FLOOD }, () => hocuspocus.update(room, EDIT)))
  await endsWith(many, OVER)
  const large = await Raw.open(t, server.ws)
  const megabyte = new Uint8Array(2 ** 20)
  large.send(...Array.from({ length: 16 }, () => hocuspocus.update(room, megabyte)))
  await endsWith(large, OVER)
  await unhurt()
})

test('a flood of worthless tokens ends its sender', async (t) => {
  const { server } = await guarded(t)
  const room = newRoom()
  const { unhurt } = await bystanders(t, server, room, { token: TOKENS.write })
  const raw = await Raw.open(t, server.ws)
  raw.send(...Array.from({ length: FLOOD }, (_, at) => hocuspocus.token(room, `guess ${at}`)))
  await endsWith(raw, OVER)
  assert.ok(raw.heard.length > 0 && raw.heard.every(denied(room)))
  await unhurt()
})

test('a thousand documents that nobody was let into are too many for a socket', async (t) => {
  const { server } = await guarded(t)
  const room = newRoom()
  const { unhurt } = await bystanders(t, server, room, { token: TOKENS.write })
  const raw = await Raw.open(t, server.ws)
  for (let at = 0; at < DOCUMENTS; at++) raw.send(hocuspocus.update(`${room}-${at}`, EDIT))
  await endsWith(raw, OVER)
  await unhurt()
})

test('a thousand documents on a socket are all served, or the rest is refused', async (t) => {
  const server = await Server.for(t)
  const room = newRoom()
  const { unhurt } = await bystanders(t, server, room)
  const raw = await Raw.open(t, server.ws)
  const names = Array.from({ length: DOCUMENTS }, (_, at) => `${room}-${at}`)
  for (const name of names) raw.send(hocuspocus.token(name, ''), hocuspocus.step1(name))
  const answers = () => {
    const heard = raw.heard.filter((bytes) => hocuspocus.read(bytes)?.type === 2)
    return new Set(heard.map((bytes) => hocuspocus.read(bytes).address))
  }
  await until(
    () => raw.closed || answers().size === DOCUMENTS,
    () => `an answer for each: ${answers().size}`
  )
  if (raw.closed) assert.ok(OVER.includes(raw.closed.code), `closed with ${raw.closed.code}`)
  else assert.ok(raw.heard.some(letIn(names[0])))
  await unhurt()
})

test('a broadcast, which only servers may make, reaches nobody', async (t) => {
  const server = await Server.for(t)
  const room = newRoom()
  const { ben, unhurt } = await bystanders(t, server, room)
  const raw = await inside(t, server, room)
  raw.send(hocuspocus.broadcast(room, 'from a client'), hocuspocus.stateless(room, 'after'))
  // Hocuspocus closes the document for its sender; to close the socket or ignore it is as good.
  const isOver = () => raw.closed || raw.heard.some(told(room, 7))
  await until(() => isOver() || ben.stateless.includes('after'), 'a close, or what came after')
  assert.ok(!ben.stateless.includes('from a client'))
  if (raw.closed) assert.ok(raw.closed.code >= 4400 && raw.closed.code < 4500, raw.closed)
  await unhurt()
})

test('what follows the NUL of a name is a session, never part of the name', async (t) => {
  const server = await Server.for(t)
  const room = newRoom()
  const { unhurt } = await bystanders(t, server, room)
  const raw = await inside(t, server, `${room}\0one`)
  raw.send(hocuspocus.token(`${room}\0two`, ''), hocuspocus.step1(`${room}\0two`))
  await raw.hears('the second session', synced(`${room}\0two`))
  for (const bytes of raw.heard.filter(synced(`${room}\0one`))) {
    assert.ok(hocuspocus.read(bytes).payload.length > 4, 'the document of that name, with its text')
  }
  // No name before it, or more than one NUL.
  for (const address of ['\0one', '', `${room}\0one\0more`, 'n'.repeat(1025)]) {
    raw.send(hocuspocus.token(address, ''))
    await until(
      () => raw.closed || raw.heard.some(denied(address)) || raw.heard.some(letIn(address)),
      () => `an answer for ${JSON.stringify(address)}`
    )
    assert.ok(!raw.heard.some(letIn(address)) || address.includes('more'), JSON.stringify(address))
    if (raw.closed) break
  }
  assert.ok(!addresses(raw).has(room), 'no answer to an address that did not ask')
  await unhurt()
})

test('malformed frames end the connection that sent them', async (t) => {
  const server = await Server.for(t)
  const room = newRoom()
  const { unhurt } = await bystanders(t, server, room)
  const cut = (bytes, from = -1) => bytes.slice(0, from)
  const bad = {
    nothing: new Uint8Array(),
    'a name without end': Uint8Array.of(200, 1, 65),
    'a name that is no UTF-8': Uint8Array.of(2, 0xff, 0xfe, 3),
    'no type': frame(room),
    'an unknown type': frame(room, 99),
    'a SyncReply, which only servers send': frame(room, 4, 0, Uint8Array.of(0)),
    'a SyncStatus, which only servers send': frame(room, 8, 1),
    'an unknown sync message': frame(room, 0, 7),
    'an update cut short': cut(hocuspocus.update(room, EDIT)),
    'an update of garbage': hocuspocus.update(room, Uint8Array.of(255, 255, 255, 255, 15, 1)),
    'presence of garbage': hocuspocus.awareness(room, Uint8Array.of(9, 9, 9))
  }
  for (const [name, bytes] of Object.entries(bad)) {
    const raw = await inside(t, server, room)
    raw.send(bytes)
    await endsWith(raw, MALFORMED).catch((error) => assert.fail(`${name}: ${error.message}`))
  }
  const text = await inside(t, server, room)
  text.socket.send('a text frame')
  await endsWith(text, MALFORMED)
  // A pong that nobody asked for is none of these: 4.x providers send it whenever they like.
  const pong = await inside(t, server, room)
  pong.send(Uint8Array.of(10), hocuspocus.step1(room))
  await until(() => pong.heard.filter(synced(room)).length === 2, 'the second sync')
  await unhurt()
})

/** Replicas of documents `rooms`, which were written and deleted. */
const buried = async (t, server, rooms) => {
  const raw = await Raw.open(t, server.ws)
  const docs = rooms.map((room) => {
    const doc = new Y.Doc()
    doc.getText('content').insert(0, 'chapter one')
    raw.send(hocuspocus.token(room, TOKENS.write))
    raw.send(hocuspocus.update(room, Y.encodeStateAsUpdate(doc)))
    return doc
  })
  for (const room of rooms) await raw.hears('the acknowledgement', told(room, 8, 1))
  raw.socket.terminate()
  for (const room of rooms) assert.equal((await file(server, room, 'DELETE')).status, 204)
  return docs
}

/** As `buried`, and made again with the same text. */
const madeAgain = async (t, server, rooms) => {
  const docs = await buried(t, server, rooms)
  for (const room of rooms) {
    assert.equal((await file(server, room, 'PUT', 'chapter one')).status, 201)
  }
  return docs
}

const file = (server, room, method, body) =>
  fetch(`${server.http}/v1/vaults/default/files/${room}`, {
    method,
    body,
    headers: { Authorization: `Bearer ${TOKENS.admin}`, 'Content-Type': 'text/plain' }
  })

test('who may only read by the time it answers brings nothing back', async (t) => {
  const { server, configure } = await guarded(t)
  const [room, own] = [newRoom(), newRoom('own')]
  const [doc] = await buried(t, server, [room])
  const raw = await Raw.open(t, server.ws)
  raw.send(hocuspocus.token(room, TOKENS.write))
  raw.send(hocuspocus.step1(room, Y.encodeStateVector(doc)))
  await raw.hears('the question for what it has', told(room, 0, 0))
  await configure(users('read', 'write', 'admin').replace('role = "write"', 'role = "read"'))
  await raw.hears('that it may only read', told(room, 2, 2, 'readonly'.length))
  doc.getText('content').insert(0, 'smuggled ')
  raw.send(hocuspocus.step2(room, Y.encodeStateAsUpdate(doc)))
  await raw.hears('the refusal', denied(room))
  assert.equal((await file(server, room, 'GET')).status, 404)
  // Only what is about that document ends.
  raw.send(hocuspocus.token(own, TOKENS.write), hocuspocus.step1(own))
  await raw.hears('the sync of another', synced(own))
})

test('documents that were made again are no worthless tokens: their socket stays', async (t) => {
  const { server } = await guarded(t)
  const rooms = Array.from({ length: MANY }, () => newRoom())
  const docs = await madeAgain(t, server, rooms)
  const own = newRoom('own')
  const raw = await inside(t, server, own, TOKENS.write)
  rooms.forEach((room, at) => {
    raw.send(hocuspocus.token(room, TOKENS.write))
    raw.send(hocuspocus.step2(room, Y.encodeStateAsUpdate(docs[at])))
  })
  for (const room of rooms) await raw.hears(`that ${room} is another one`, denied(room))
  raw.send(hocuspocus.update(own, EDIT))
  await raw.hears('the acknowledgement in its own document', told(own, 8, 1))
})

test('what came behind the copy of a document made again is heard when that is kept', async (t) => {
  const { server } = await guarded(t)
  const [room, own] = [newRoom(), newRoom('own')]
  const [doc] = await madeAgain(t, server, [room])
  doc.getText('content').insert(0, 'edited ')
  const raw = await inside(t, server, own, TOKENS.write)
  raw.send(hocuspocus.token(room, TOKENS.write), hocuspocus.step1(room))
  await raw.hears('the sync', synced(room))
  raw.sendAtOnce(
    hocuspocus.step2(room, Y.encodeStateAsUpdate(doc)),
    hocuspocus.update(own, EDIT)
  )
  await raw.hears('that it is another one', denied(room))
  await raw.hears('the acknowledgement in its own document', told(own, 8, 1))
})

/** A ticket of the administrator's for writing `path`. */
const ticket = async (server, path, valid = 300) => {
  const answer = await fetch(`${server.http}/v1/tickets`, {
    method: 'POST',
    headers: { Authorization: `Bearer ${TOKENS.admin}` },
    body: JSON.stringify({ vault: 'default', path, role: 'write', valid_s: valid })
  })
  assert.ok(answer.ok, `a ticket: ${answer.status}`)
  return (await answer.json()).token
}

test('a ticket for one document opens no other, and none when its maker is gone', async (t) => {
  const { server, configure } = await guarded(t)
  const [room, own] = [newRoom('secret'), newRoom('own')]
  const { unhurt } = await bystanders(t, server, room, { token: TOKENS.write })
  const token = await ticket(server, own)
  const raw = await inside(t, server, own, token)
  raw.send(hocuspocus.token(room, token), hocuspocus.step1(room), hocuspocus.update(room, EDIT))
  await raw.hears('the refusal', denied(room))
  assert.ok(!raw.heard.some(synced(room)))
  await configure(users('read', 'write'))
  // The live session learns it one way or the other; a replay of the ticket is refused.
  await until(() => raw.closed || raw.heard.some(denied(own)), 'the end of what it opened')
  const replay = await Raw.open(t, server.ws)
  replay.send(hocuspocus.token(own, token), hocuspocus.step1(own))
  await replay.hears('the refusal', denied(own))
  assert.ok(!replay.heard.some(synced(own)))
  await unhurt()
})

test('a ticket that is over is worth nothing, however often it was good', async (t) => {
  const { server } = await guarded(t)
  const [room, own] = [newRoom(), newRoom('own')]
  const { unhurt } = await bystanders(t, server, room, { token: TOKENS.write })
  const brief = await ticket(server, own, 1)
  const show = async () => {
    const raw = await Raw.open(t, server.ws)
    raw.send(hocuspocus.token(own, brief), hocuspocus.step1(own), hocuspocus.update(own, EDIT))
    await until(() => raw.heard.some(letIn(own)) || raw.heard.some(denied(own)), 'an answer')
    return raw
  }
  const first = await show()
  assert.ok(first.heard.some(letIn(own)))
  // Its live session ends with it.
  await until(() => first.closed || first.heard.some(denied(own)), 'the end of what it opened')
  const replay = await show()
  assert.ok(!replay.heard.some(letIn(own)) && !replay.heard.some(synced(own)))
  await unhurt()
})

test('a Y-Sweet token opens its document, as long as it is valid, and no other', async (t) => {
  const { server } = await guarded(t)
  const [room, own] = [newRoom('secret'), newRoom('own')]
  const manager = managerFor(server.ws, serverToken(server))
  const options = { serverToken: serverToken(server) }
  const ann = await YSweet.for(t, server.ws, room, options)
  ann.append('unhurt')
  const { token } = await manager.getOrCreateDocAndToken(own)
  const socket = async (path, token) =>
    (await Raw.open(t, `${server.ws}${path}?token=${token}`)).status ?? 'open'
  const call = (path, method, token) =>
    fetch(`${server.http}${path}`, {
      method,
      headers: { Authorization: `Bearer ${token}`, 'Content-Type': 'application/octet-stream' },
      ...(method === 'POST' && { body: EDIT })
    }).then(({ status }) => status)

  assert.equal(await socket(`/d/${own}/ws/${own}`, token), 'open')
  assert.equal(await socket(`/d/${room}/ws/${room}`, token), 403)
  assert.equal(await socket(`/d/${own}/ws/${own}`, `${token.slice(0, -1)}_`), 401)
  for (const [one, other] of [
    [own, room],
    [room, own]
  ]) {
    const status = await socket(`/d/${one}/ws/${other}`, token)
    assert.ok([400, 401, 403, 404].includes(status), `both ids must match: ${status}`)
  }
  assert.equal(await call(`/d/${own}/as-update`, 'GET', token), 200)
  for (const [path, method] of [
    ['as-update', 'GET'],
    ['update', 'POST']
  ]) {
    assert.ok([401, 403].includes(await call(`/d/${room}/${path}`, method, token)), path)
  }
  const reading = await manager.getClientToken(own, { authorization: 'read-only' })
  assert.equal(await call(`/d/${own}/as-update`, 'GET', reading.token), 200)
  assert.equal(await call(`/d/${own}/update`, 'POST', reading.token), 403)

  const brief = await manager.getClientToken(own, { validForSeconds: 1 })
  let last = null
  const ask = async () => {
    for (;;) {
      last = await socket(`/d/${own}/ws/${own}`, brief.token)
      if (last !== 'open') return
    }
  }
  await ask()
  assert.equal(last, 401)
  assert.equal(await call(`/d/${own}/as-update`, 'GET', brief.token), 401)
  const ben = await YSweet.for(t, server.ws, room, options)
  await ben.has('unhurt')
})

test('names and calls that Y-Sweet does not know are refused with its statuses', async (t) => {
  const { server } = await guarded(t)
  const call = (path, body, token = serverToken(server)) =>
    fetch(`${server.http}${path}`, {
      method: 'POST',
      headers: { Authorization: `Bearer ${token}`, 'Content-Type': 'application/json' },
      body: JSON.stringify(body)
    }).then(({ status }) => status)
  for (const docId of ['a/b', 'a b', '', 'a\0b', 'ä', '../x']) {
    assert.equal(await call('/doc/new', { docId }), 400, JSON.stringify(docId))
  }
  const room = newRoom()
  assert.equal(await call(`/doc/${room}/auth`, {}), 404)
  assert.equal(await call('/doc/new', { docId: room }), 200)
  assert.equal(await call('/doc/new', { docId: room }), 200)
  // y-sweet itself gives a token for what it does not know.
  assert.equal(await call(`/doc/${room}/auth`, { authorization: 'everything' }), 400)
  assert.equal(await call('/doc/new', { docId: newRoom() }, 'worthless'), 401)
  assert.equal(await call(`/doc/${room}/auth`, {}, 'worthless'), 401)
})

test('malformed frames end the Y-Sweet socket that sent them', async (t) => {
  const { server } = await guarded(t)
  const room = newRoom()
  const options = { serverToken: serverToken(server) }
  const [ann, ben] = await Promise.all(
    ['Ann', 'Ben'].map(() => YSweet.for(t, server.ws, room, options))
  )
  ann.append('unhurt')
  await ben.has('unhurt')
  const { url, token } = await managerFor(server.ws, serverToken(server)).getClientToken(room)
  const open = async () => {
    const raw = await Raw.open(t, `${url}/${room}?token=${token}`)
    await raw.hears('the first question', (bytes) => bytes[0] === 0 && bytes[1] === 0)
    return raw
  }
  const update = (bytes) => frame(0, 2, bytes)
  const bad = {
    'an unknown type': [frame(99)],
    'a message of Hocuspocus': [hocuspocus.update(room, EDIT)],
    'an unknown sync message': [frame(0, 7)],
    'an update cut short': [update(EDIT).slice(0, -1)],
    'an update of garbage': [update(Uint8Array.of(255, 255, 255, 255, 15, 1))],
    'a vector of garbage': [frame(0, 0, Uint8Array.of(255, 255, 255, 255, 15))],
    'presence of garbage': [frame(1, Uint8Array.of(9, 9, 9))],
    'a version cut short': [Uint8Array.of(0x66, 4, 1)],
    'a text frame': ['text']
  }
  for (const [name, frames] of Object.entries(bad)) {
    const raw = await open()
    raw.send(...frames)
    await endsWith(raw, MALFORMED).catch((error) => assert.fail(`${name}: ${error.message}`))
  }
  const wide = await open()
  wide.send(frame(0x66, new Uint8Array(65)))
  await endsWith(wide, OVER)
  const large = await open()
  large.send(update(new Uint8Array(17 * 2 ** 20)))
  await endsWith(large, OVER)
  // What comes before it in one frame counts, and the client is told so by nobody.
  const half = await open()
  half.send(Uint8Array.of(...frame(1, frame(1, 4711, 1, '{"user":{"name":"Mallory"}}')), 99))
  await endsWith(half, MALFORMED)
  ben.append('!')
  await ann.has('unhurt!')
  await Promise.all([ann.saved(), ben.saved()])
  assert.deepEqual([...ann.closes, ...ben.closes], [])
})
