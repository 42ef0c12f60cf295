// What every stock client must be able to do: the columns of the matrix. Each is a test with one
// kind of client; `matrix.test.mjs` runs all of them with all clients.
import assert from 'node:assert/strict'
import { FAMILY, SESSION_VERSIONS, socketFor } from './families/hocuspocus.mjs'
import { converged, newRoom } from './families/replica.mjs'
import { guarded, TOKENS } from './guarded.mjs'
import { Proxy } from './proxy.mjs'
import { Server } from './server.mjs'
import { until } from './until.mjs'

// Hocuspocus waits for 1 s and then up to 2 s between tries, Y-Sweet may ask for a new token first.
const BACK_MS_MAX = 20_000
/** After a connection is there again, everybody is to be seen within this. */
const PRESENCE_MS_MAX = 1000

/** Two clients of one document, the second behind a proxy. */
const pair = async (t, client) => {
  const server = await Server.for(t)
  const proxy = await Proxy.for(t, server.port)
  const room = newRoom()
  const ann = await client.connect(t, server, room)
  const ben = await client.connect(t, server, room, { via: proxy })
  return { server, proxy, room, ann, ben }
}

const seeEachOther = (ann, ben, deadlineMs) =>
  until(
    () => ann.sees(ben) === 'Ben' && ben.sees(ann) === 'Ann',
    () => `both names at both ends: ${ann.sees(ben)}, ${ben.sees(ann)}`,
    deadlineMs
  )

const editBothWays = async (t, client) => {
  const { server, room, ann, ben } = await pair(t, client)
  ann.text.insert(0, 'Hello')
  await ben.has('Hello')
  ben.append(', world')
  await ann.has('Hello, world')
  ann.text.delete(0, 7)
  await ben.has('world')
  ann.append('!')
  ben.text.insert(0, '¡')
  await until(() => ann.string.length === 7 && ben.string.length === 7, 'both signs at both ends')
  const late = await client.connect(t, server, room)
  await late.has(await converged([ann, ben]))
}

const presence = async (t, client) => {
  const { server, room, ann, ben } = await pair(t, client)
  ann.named('Ann')
  ben.named('Ben')
  await seeEachOther(ann, ben)
  const late = await client.connect(t, server, room)
  await until(() => late.sees(ann) === 'Ann' && late.sees(ben) === 'Ben', 'both for who joins')
  for (const name of ['Benn', 'Benny', 'Benjamin']) ben.named(name)
  await until(() => ann.sees(ben) === 'Benjamin', 'the last name')
  ben.destroy()
  await until(() => ann.stateOf(ben) === undefined, 'the leaver gone')
}

const readOnly = async (t, client) => {
  const { server } = await guarded(t)
  const room = newRoom()
  const writer = await client.connect(t, server, room, { access: 'write' })
  const reader = await client.connect(t, server, room, { access: 'read' })
  writer.append('written')
  await reader.has('written')
  reader.append(', and not to be written')
  reader.named('The reader')
  // Its presence was sent behind its edit, so the edit has been judged.
  await until(() => writer.sees(reader) === 'The reader', 'the presence of the reader')
  assert.equal(writer.string, 'written')
  const late = await client.connect(t, server, room, { access: 'write' })
  assert.equal(late.string, 'written')
  if (client.family === FAMILY) {
    assert.equal(reader.scope, 'readonly')
    assert.notEqual(reader.unsynced, 0, 'an edit that was refused counts as unsaved')
  }
}

const deniedThenAllowed = async (t, client) => {
  const { server } = await guarded(t)
  const room = newRoom()
  const writer = await client.connect(t, server, room, { access: 'write' })
  writer.append('for friends')
  const late = await client.connect(t, server, room, { access: 'none' })
  await until(() => late.wasDenied, 'the refusal')
  assert.equal(late.string, '')
  assert.equal(late.isSynced, false)
  late.allow(TOKENS.write)
  await late.has('for friends', BACK_MS_MAX)
  late.append(', all of them')
  await writer.has('for friends, all of them')
}

const reconnect = async (t, client) => {
  const { proxy, ann, ben } = await pair(t, client)
  ann.append('before')
  await ben.has('before')
  const closes = ben.closes.length
  proxy.cut()
  await until(() => ben.closes.length > closes, 'the cut noticed')
  ann.append(', behind')
  ben.text.insert(0, 'in front, ')
  await Promise.all([ann, ben].map((one) => one.has('in front, before, behind', BACK_MS_MAX)))
}

const offlineEdit = async (t, client) => {
  const { server, room, proxy, ann, ben } = await pair(t, client)
  ann.append('base')
  await ben.has('base')
  proxy.down()
  await until(() => !ben.isConnected, 'the end of the connection')
  ben.text.insert(0, 'offline, ')
  ben.append(', offline too')
  ann.append(' meanwhile')
  await until(() => ben.unsaved !== false, 'nobody has said that it is saved')
  proxy.up()
  await until(
    () => ann.string.length === ben.string.length && ann.string.startsWith('offline, base'),
    () => `${ann.string} / ${ben.string}`,
    BACK_MS_MAX
  )
  const text = await converged([ann, ben])
  assert.ok(text.includes(', offline too') && text.includes(' meanwhile'), text)
  if (ben.unsaved !== null) await ben.saved()
  const late = await client.connect(t, server, room)
  assert.equal(late.string, text)
}

const serverKilled = async (t, client) => {
  const { server, room, ann, ben } = await pair(t, client)
  ann.append('delivered. ')
  await ben.has('delivered. ')
  await server.kill()
  await until(() => !ann.isConnected && !ben.isConnected, 'the end noticed')
  ann.append('While it was down. ')
  await server.restart()
  await ben.has('delivered. While it was down. ', BACK_MS_MAX)
  ben.append('After.')
  await ann.has('delivered. While it was down. After.', BACK_MS_MAX)
  const late = await client.connect(t, server, room)
  assert.equal(late.string, 'delivered. While it was down. After.')
}

/** `how` is the proxy's way to cut: the server notices, or not. */
const presenceAgain = async (t, client, how) => {
  const { proxy, ann, ben } = await pair(t, client)
  ann.named('Ann')
  ben.named('Ben')
  await seeEachOther(ann, ben)
  const [opens, closes] = [ben.opens.length, ben.closes.length]
  // A client may be back before anybody looks.
  let isGone = false
  ben.awareness.on('change', () => (isGone ||= ben.stateOf(ann) === undefined))
  proxy[how]()
  await until(() => ben.closes.length > closes && isGone, 'the cut noticed')
  await until(() => ben.opens.length > opens, 'a new socket', BACK_MS_MAX)
  await seeEachOther(ann, ben, BACK_MS_MAX)
  // From the open socket, since how long the clients wait for it is theirs: Hocuspocus waits 1 s.
  const passed = performance.now() - ben.opens.at(-1)
  assert.ok(passed < PRESENCE_MS_MAX, `${passed.toFixed(0)} ms`)
  return `${passed.toFixed(0)} ms`
}

/** Two documents on one socket, and where the client can, one of them twice. */
const multiplex = async (t, client) => {
  const server = await Server.for(t)
  const [plan, list] = [newRoom('plan'), newRoom('list')]
  const socket = socketFor(t, server.ws, client.version)
  const ann = await client.connect(t, server, plan, { socket })
  const ben = await client.connect(t, server, list, { socket })
  const others = await Promise.all([plan, list].map((room) => client.connect(t, server, room)))
  ann.named('Ann')
  ben.named('Ben')
  ann.append('the plan')
  ben.append('the list')
  await Promise.all(others.map((other, at) => other.has(['the plan', 'the list'][at])))
  await until(() => others[0].sees(ann) === 'Ann' && others[1].sees(ben) === 'Ben', 'the names')
  assert.equal(others[0].stateOf(ben), undefined)
  others[0].append(' changed')
  await ann.has('the plan changed')
  assert.equal(ben.string, 'the list')
  ben.destroy()
  ann.append(' again')
  await others[0].has('the plan changed again')
  await until(() => others[1].stateOf(ben) === undefined, 'gone from the list')
  assert.equal(others[0].sees(ann), 'Ann')
  const again = await client.connect(t, server, list, { socket })
  await again.has('the list')
  await Promise.all([ann, again].map((one) => one.saved()))
}

const sameTwice = async (t, client) => {
  const server = await Server.for(t)
  const room = newRoom()
  const socket = socketFor(t, server.ws, client.version)
  const settings = { sessionAwareness: true }
  const ann = await client.connect(t, server, room, { socket, settings })
  const ben = await client.connect(t, server, room, { socket, settings })
  const other = await client.connect(t, server, room)
  ann.named('Ann')
  ben.named('Ben')
  await seeEachOther(ann, ben)
  ann.append('one')
  await Promise.all([ben, other].map((one) => one.has('one')))
  ben.append(', two')
  await Promise.all([ann, other].map((one) => one.has('one, two')))
  await Promise.all([ann, ben].map((one) => one.saved()))
  ben.destroy()
  await until(() => ann.stateOf(ben) === undefined, 'the second one gone')
  ann.append(', three')
  await other.has('one, two, three')
  await ann.saved()
}

/** In the order of the table; `only` says which clients have the thing at all. */
export const COLUMNS = [
  { name: 'edits both ways', run: editBothWays },
  { name: 'presence', run: presence },
  { name: 'read-only', run: readOnly },
  { name: 'denied, then allowed', run: deniedThenAllowed },
  { name: 'cut and back', run: reconnect },
  { name: 'offline edit', run: offlineEdit },
  { name: 'server `kill -9`', run: serverKilled },
  { name: 'seen again within 1 s', run: (t, client) => presenceAgain(t, client, 'cut') },
  {
    name: 'the same after a silent cut',
    run: (t, client) => presenceAgain(t, client, 'cutInSilence')
  },
  {
    name: 'two documents on a socket',
    only: ({ family }) => family === FAMILY,
    run: multiplex
  },
  {
    name: 'one document twice on a socket',
    only: ({ version }) => SESSION_VERSIONS.includes(version),
    run: sameTwice
  }
]
