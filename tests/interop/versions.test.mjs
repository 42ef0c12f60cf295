// What a vault keeps of a file, while stock clients have it open: who wrote what, and what it was.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { CLIENTS } from './families/all.mjs'
import * as hocuspocus from './families/hocuspocus.mjs'
import { newRoom } from './families/replica.mjs'
import * as ysweet from './families/ysweet.mjs'
import * as ywebsocket from './families/ywebsocket.mjs'
import { guarded, serverToken, TOKENS } from './guarded.mjs'
import { Server } from './server.mjs'
import { until } from './until.mjs'

const fileAt = (server, path) => `${server.http}/v1/vaults/default/files/${path}`
const put = (server, path, body, headers = {}) =>
  fetch(fileAt(server, path), { method: 'PUT', body, headers: { 'content-type': 'text/plain', ...headers } })

test('what a file was comes back as an edit that every stock client sees', async (t) => {
  const server = await Server.for(t)
  const room = newRoom()
  const first = await (await put(server, room, 'one, two\n')).json()
  const editors = []
  for (const client of CLIENTS) editors.push(await client.connect(t, server, room))
  for (const editor of editors) await editor.has('one, two\n')
  const [typist, ...others] = editors
  typist.append('three\n')
  for (const editor of others) await editor.has('one, two\nthree\n')
  const url = `${fileAt(server, room)}?restore=${first.version}`
  assert.equal((await fetch(url, { method: 'POST' })).status, 200)
  for (const editor of editors) await editor.has('one, two\n')
  // It is an edit like others: what is typed goes on from there.
  typist.append('four\n')
  for (const editor of others) await editor.has('one, two\nfour\n')
  const { versions } = await (await fetch(`${fileAt(server, room)}?versions=1`)).json()
  assert.equal(versions.filter(({ restored }) => restored === first.version).length, 1)
})

test('a text tells who wrote each piece, whatever they wrote it with', async (t) => {
  const { server, configure } = await guarded(t)
  const names = ['ann', 'ben', 'cleo', 'dan']
  const tokens = Object.fromEntries(names.map((name) => [name, `a-token-that-is-for-${name}`]))
  const user = (name) => `[[users]]\nname = "${name}"\ntoken = "${tokens[name]}"\nrole = "write"\n`
  const root = `[[users]]\nname = "administrator"\ntoken = "${TOKENS.admin}"\nrole = "admin"\n`
  await configure(root + names.map(user).join(''))
  const headers = (name) => ({ authorization: `Bearer ${tokens[name]}` })
  const room = newRoom()
  const isKnown = async () => (await fetch(fileAt(server, room), { headers: headers('ann') })).status === 404
  await until(isKnown, 'the users are known')
  const ann = await ywebsocket.Client.for(t, server.ws, room, { params: { token: tokens.ann } })
  const ben = await hocuspocus.Client.for(t, server.ws, room, { token: tokens.ben })
  ann.append('typed by ann\n')
  await ben.has('typed by ann\n')
  ben.append('typed by ben\n')
  await ann.has('typed by ann\ntyped by ben\n')
  // In the midst of what somebody else wrote.
  ann.text.insert(ann.string.indexOf('ben'), 'ann or ')
  await ben.has('typed by ann\ntyped by ann or ben\n')
  const whole = `${ben.string}put by cleo\n`
  assert.equal((await put(server, room, whole, headers('cleo'))).status, 200)
  await ann.has(whole)
  const eve = await ysweet.Client.for(t, server.ws, room, { serverToken: serverToken(server), userId: 'eve' })
  await eve.has(whole)
  eve.append('typed by eve\n')
  await ann.has(`${whole}typed by eve\n`)
  const { etag } = await (await fetch(`${fileAt(server, room)}?meta=1`, { headers: headers('dan') })).json()
  const edits = { unit: 'utf16', edits: [{ op: 'insert', at: whole.length + 13, text: 'inserted by dan\n' }] }
  const patch = { method: 'PATCH', body: JSON.stringify(edits) }
  patch.headers = { ...headers('dan'), 'if-match': etag, 'content-type': 'application/json' }
  assert.equal((await fetch(fileAt(server, room), patch)).status, 200)
  const due = [
    ['typed by ann\n', 'ann'],
    ['typed by ', 'ben'],
    ['ann or ', 'ann'],
    ['ben\n', 'ben'],
    ['put by cleo\n', 'cleo'],
    ['typed by eve\n', 'eve'],
    ['inserted by dan\n', 'dan']
  ]
  const told = async () => {
    const answer = await fetch(`${fileAt(server, room)}?blame=1`, { headers: headers('ann') })
    return (await answer.json()).pieces.map(({ text, by }) => [text, by])
  }
  assert.deepEqual(await told(), due)
  await server.kill()
  await server.restart()
  assert.deepEqual(await told(), due, 'after a restart')
})
