// Files that are moved while somebody has them open: a stock client comes back by the old name and
// must go on in the one file, by whatever name that has now.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { guarded, TOKENS } from './guarded.mjs'
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
const CODE = 4414

const files = (server) => `${server.http}/v1/vaults/default/files`
const fileAt = (server, path) => `${files(server)}/${path.split('/').map(encodeURIComponent).join('/')}`
const move = (server, from, to, headers = {}) =>
  fetch(`${fileAt(server, from)}?move=${encodeURIComponent(to)}`, { method: 'POST', headers })
const read = async (server, path, headers = {}) => {
  const answer = await fetch(fileAt(server, path), { headers })
  return answer.ok ? answer.text() : null
}
const listed = async (server) => (await (await fetch(files(server))).json()).files
const has = (server, path, text, headers) =>
  until(
    async () => (await read(server, path, headers)) === text,
    async () => `"${text}" at ${path}, where there is "${await read(server, path, headers)}"`
  )

for (const { Client, family, version, label } of CLIENTS) {
  /** Whoever lets a Y-Sweet client in makes an empty document of the name first. */
  const others = async (server, room) => {
    const all = (await listed(server)).filter(({ path }) => !path.startsWith('moved-'))
    if (family !== ysweet.FAMILY) return all
    for (const { path } of all) assert.deepEqual([path, await read(server, path)], [room, ''])
    return []
  }

  test(`a ${label} client goes on in a file that is moved, twice and with a restart`, async (t) => {
    const server = await Server.for(t)
    const room = newRoom()
    const editor = await Client.for(t, server.ws, room, { version })
    editor.append('one')
    await has(server, room, 'one')
    const [{ id }] = await listed(server)
    assert.equal((await move(server, room, 'moved-a')).status, 200)
    editor.append(' two')
    await has(server, 'moved-a', 'one two')
    assert.equal((await move(server, 'moved-a', 'moved-b')).status, 200)
    editor.append(' three')
    await has(server, 'moved-b', 'one two three')
    await server.kill()
    await server.restart()
    editor.append(' four')
    await has(server, 'moved-b', 'one two three four')
    // What others write there is seen.
    const other = await Client.for(t, server.ws, 'moved-b', { version })
    await other.has('one two three four')
    other.append(' five')
    await editor.has('one two three four five')
    const moved = (await listed(server)).filter(({ path }) => path.startsWith('moved-'))
    assert.deepEqual(moved.map((file) => [file.path, file.id]), [['moved-b', id]])
    assert.deepEqual(await others(server, room), [])
  })

  test(`a ${label} client of a moved file does not touch a new one of the old name`, async (t) => {
    const server = await Server.for(t)
    const room = newRoom()
    const editor = await Client.for(t, server.ws, room, { version })
    editor.append('one')
    await has(server, room, 'one')
    await server.kill()
    await server.restart()
    assert.equal((await move(server, room, 'moved-a')).status, 200)
    const put = { method: 'PUT', body: 'another', headers: { 'content-type': 'text/plain' } }
    assert.ok((await fetch(fileAt(server, room), put)).ok)
    editor.append(' two')
    await has(server, 'moved-a', 'one two')
    assert.equal(await read(server, room), 'another')
    assert.equal(editor.string, 'one two')
  })
}

for (const [family, { Client }, credential, isTold] of [
  ['y-websocket', ywebsocket, (token) => ({ params: { token } }), (editor) => editor.closes.includes(CODE)],
  ['hocuspocus', hocuspocus, (token) => ({ token }), (editor) => editor.denials.length > 0]
]) {
  test(`a ${family} client that may not read where a file was moved is told, and writes nowhere`, async (t) => {
    const { server, configure } = await guarded(t)
    const secret = 'a-token-that-is-for-one-folder'
    await configure(
      `[[users]]\nname = "administrator"\ntoken = "${TOKENS.admin}"\nrole = "admin"\n` +
        `[[users]]\nname = "guest"\ntoken = "${secret}"\n` +
        `paths = ["open/"]\nrole = "write"\n`
    )
    const headers = { authorization: `Bearer ${TOKENS.admin}` }
    const guest = { headers: { authorization: `Bearer ${secret}` } }
    const isKnown = async () => (await fetch(fileAt(server, 'open/a.md'), guest)).status === 404
    await until(isKnown, 'the guest is known')
    const editor = await Client.for(t, server.ws, 'open/a.md', credential(secret))
    editor.append('one')
    await has(server, 'open/a.md', 'one', headers)
    assert.equal((await move(server, 'open/a.md', 'closed/a.md', headers)).status, 200)
    editor.append(' two')
    await until(
      () => isTold(editor),
      () => `it is told; it was closed with ${editor.closes}`
    )
    assert.equal(await read(server, 'closed/a.md', headers), 'one')
    assert.equal(await read(server, 'open/a.md', headers), null)
  })
}
