// Where the clients of Hocuspocus and Y-Sweet come in: from pages of which origin, and at which
// paths.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Client } from './families/hocuspocus.mjs'
import { newRoom } from './families/replica.mjs'
import { managerFor } from './families/ysweet.mjs'
import { Client as YWebsocket } from './families/ywebsocket.mjs'
import { guarded, TOKENS, users } from './guarded.mjs'
import { hocuspocus, Raw } from './raw.mjs'
import { Server } from './server.mjs'
import { until } from './until.mjs'

const LISTED = 'https://app.example'
const ELSEWHERE = 'https://elsewhere.example'
const ALL = users('read', 'write', 'admin')

/** Puts `text` in the place of the configuration, and waits until it is in force. */
const reconfigured = async ({ server, configure }, text) => {
  server.log.length = 0
  await configure(text)
  await until(() => server.log.some((line) => line.includes('read again')), 'it was read again')
}

/** Opens a document on a socket of a page of `origin`, with a token in a frame: what it is told. */
const shows = async (t, server, token, { origin = ELSEWHERE, host } = {}) => {
  const room = newRoom()
  const headers = host && { host }
  const raw = await Raw.open(t, server.ws, { origin, headers })
  if (raw.isRefused) return raw.status
  const isAnswer = ({ type }) => type === 2
  const answer = () => raw.heard.map((bytes) => hocuspocus.read(bytes)).find(isAnswer)
  // Version 2 has no frame for a token where it has none.
  if (token !== null) raw.send(hocuspocus.token(room, token))
  raw.send(hocuspocus.step1(room))
  const told = await until(answer, () => `an answer to ${origin}: ${JSON.stringify(raw.closed)}`)
  return told.payload[0] === 2 ? 'let in' : 'denied'
}

test('a page from elsewhere may do what the token in its frame may, and no more', async (t) => {
  const door = await guarded(t)
  const { server } = door
  const at = (token, options) => shows(t, server, token, options)
  for (const options of [{}, { host: 'notes.example' }, { origin: 'null' }]) {
    assert.equal(await at(TOKENS.write, options), 'let in', JSON.stringify(options))
    for (const token of ['', 'worthless', null]) {
      assert.equal(await at(token, options), 'denied', JSON.stringify([token, options]))
    }
  }
  // Every other socket shows its token when it opens.
  const room = await Raw.open(t, `${server.ws}/${newRoom()}`, { origin: ELSEWHERE })
  assert.equal(room.status, 403)

  // Where everybody may write, that is not for pages from elsewhere.
  await reconfigured(door, `allow_anonymous = true\n${ALL}`)
  const local = { origin: 'http://localhost:5173' }
  for (const token of ['', 'worthless', null]) assert.equal(await at(token, local), 'let in', token)
  for (const token of ['', 'worthless', null]) assert.equal(await at(token), 'denied', token)
  assert.equal(await at(TOKENS.read), 'let in')

  await reconfigured(door, `origins = ["${LISTED}"]\n${ALL}`)
  assert.equal(await at(TOKENS.write), 403)
  assert.equal(await at(TOKENS.write, { origin: LISTED }), 'let in')
  assert.equal(await at('', { origin: LISTED }), 'denied')
})

test('where no token is good for anything, a page from elsewhere gets no socket', async (t) => {
  const server = await Server.for(t)
  assert.equal(await shows(t, server, ''), 403)
  assert.equal(await shows(t, server, 'worthless'), 403)
  assert.equal(await shows(t, server, '', { origin: 'http://localhost:5173' }), 'let in')
})

test("pages that Y-Sweet's client token lets in may use its addresses from elsewhere", async (t) => {
  const door = await guarded(t)
  const { server } = door
  const room = newRoom()
  const manager = managerFor(server.ws, TOKENS.admin)
  const { baseUrl, token } = await manager.getOrCreateDocAndToken(room)
  const old = `${server.http}/doc/${room}`
  const preflight = async (url, origin, method = 'POST') => {
    const asked = 'authorization,content-type'
    const headers = {
      Origin: origin,
      'Access-Control-Request-Method': method,
      'Access-Control-Request-Headers': asked
    }
    const answer = await fetch(url, { method: 'OPTIONS', headers })
    return [answer.status, answer.headers.get('access-control-allow-origin')]
  }
  const read = async (url, origin, shown = token) => {
    const headers = { Origin: origin, ...(shown && { Authorization: `Bearer ${shown}` }) }
    const answer = await fetch(url, { headers })
    return [answer.status, answer.headers.get('access-control-allow-origin')]
  }
  for (const url of [baseUrl, old]) {
    assert.deepEqual(await preflight(`${url}/update`, ELSEWHERE), [204, ELSEWHERE])
    assert.deepEqual(await read(`${url}/as-update`, ELSEWHERE), [200, ELSEWHERE])
    assert.deepEqual(await read(`${url}/as-update`, ELSEWHERE, null), [403, null])
    assert.deepEqual(await read(`${url}/as-update`, ELSEWHERE, 'worthless'), [403, null])
  }
  await reconfigured(door, `origins = ["${LISTED}"]\n${ALL}`)
  assert.deepEqual(await preflight(`${baseUrl}/update`, ELSEWHERE), [403, null])
  for (const url of [baseUrl, old]) {
    assert.deepEqual(await preflight(`${url}/update`, LISTED), [204, LISTED])
    assert.deepEqual(await read(`${url}/as-update`, LISTED), [200, LISTED])
    assert.deepEqual(await read(`${url}/as-update`, ELSEWHERE), [403, null])
  }
})

test('Hocuspocus is found at configured paths too, and rooms everywhere else', async (t) => {
  const env = { SHEAF_HOCUSPOCUS_PATHS: '/collaboration,/app/sync' }
  const server = await Server.for(t, { env })
  const room = newRoom()
  const ann = await Client.for(t, `${server.ws}/collaboration`, room)
  ann.append('found')
  for (const path of ['', '/app/sync', '/app/sync/']) {
    // Version 4 takes the slash away unless it is told.
    const raw = await Raw.open(t, `${server.ws}${path}`)
    raw.send(hocuspocus.token(room, ''), hocuspocus.step1(room))
    await raw.hears('the sync', (bytes) => hocuspocus.read(bytes)?.address === room)
  }
  const ben = await Client.for(t, `${server.ws}/app/sync`, room, { version: '2.15.3' })
  await ben.has('found')
  const inRoom = await YWebsocket.for(t, server.ws, room)
  await inRoom.has('found')
  const besides = await YWebsocket.for(t, `${server.ws}/collaboration`, room)
  assert.equal(besides.string, '')
  await ann.saved()
})
