// Who is here, as stock clients see it: arriving, leaving, vanishing, and being seen again at once.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as awarenessProtocol from 'y-protocols/awareness'
import * as decoding from 'lib0/decoding'
import WebSocket from 'ws'
import * as Y from 'yjs'
import { newRoom } from './families/replica.mjs'
import { Client, VERSIONS } from './families/ywebsocket.mjs'
import { Proxy } from './proxy.mjs'
import { Server } from './server.mjs'
import { until } from './until.mjs'

for (const version of VERSIONS) {
  test(`clients of ${version} see each other come, move and leave`, async (t) => {
    const server = await Server.for(t)
    const room = newRoom()
    const ann = await Client.for(t, server.ws, room, { version })
    ann.named('Ann')
    const ben = await Client.for(t, server.ws, room, { version })
    ben.named('Ben')
    await until(() => ann.sees(ben) === 'Ben' && ben.sees(ann) === 'Ann', 'both names at both ends')
    for (const name of ['Benn', 'Benny', 'Benjamin']) ben.named(name)
    await until(() => ann.sees(ben) === 'Benjamin', 'the last name')
    ben.destroy()
    await until(() => ann.stateOf(ben) === undefined, 'the leaver gone', 2000)
  })

  test(`a ${version} client whose process dies is gone at once for the others`, async (t) => {
    const server = await Server.for(t)
    const room = newRoom()
    const proxy = await Proxy.for(t, server.port)
    const ann = await Client.for(t, server.ws, room, { version })
    const ben = await Client.for(t, proxy.ws, room, { version })
    ben.named('Ben')
    await until(() => ann.sees(ben) === 'Ben', 'the name')
    ben.provider.shouldConnect = false
    proxy.cut()
    await until(() => ann.stateOf(ben) === undefined, 'the vanished one gone', 2000)
  })
}

for (const [way, cut] of [
  ['noticed by both ends', 'cut'],
  ['that the server has not noticed', 'cutInSilence']
]) {
  test(`after a cut ${way} both see each other again within a second`, async (t) => {
    const server = await Server.for(t)
    const room = newRoom()
    const proxy = await Proxy.for(t, server.port)
    const ann = await Client.for(t, server.ws, room)
    const ben = await Client.for(t, proxy.ws, room)
    ann.named('Ann')
    ben.named('Ben')
    await until(() => ann.sees(ben) === 'Ben' && ben.sees(ann) === 'Ann', 'both names at both ends')
    const start = performance.now()
    proxy[cut]()
    await until(() => !ben.provider.wsconnected, 'the cut noticed by the client')
    assert.equal(ben.stateOf(ann), undefined)
    await until(
      () => ann.sees(ben) === 'Ben' && ben.sees(ann) === 'Ann',
      () => `both names again: ${ann.sees(ben)}, ${ben.sees(ann)}`
    )
    const passed = performance.now() - start
    assert.ok(passed < 1000, `${passed.toFixed(0)} ms`)
  })
}

test('after kill -9 and a new start all see each other again', async (t) => {
  const server = await Server.for(t)
  const room = newRoom()
  const clients = await Promise.all(
    VERSIONS.map((version) => Client.for(t, server.ws, room, { version }))
  )
  clients.forEach((client) => client.named(client.version))
  const all = () =>
    clients.every((one) => clients.every((other) => one.sees(other) === other.version))
  await until(all, 'all names everywhere')
  await server.kill()
  await until(() => clients.every(({ provider }) => !provider.wsconnected), 'the end noticed')
  await server.restart()
  // Stock clients wait up to 2.5 s between attempts.
  await until(all, 'all names everywhere again', 5000)
})

test('asked who is here, the server tells of everyone', async (t) => {
  const server = await Server.for(t)
  const room = newRoom()
  const ann = await Client.for(t, server.ws, room)
  ann.named('Ann')
  const ben = await Client.for(t, server.ws, room, { version: '1.5.4' })
  ben.named('Ben')
  await until(() => ann.sees(ben) === 'Ben' && ben.sees(ann) === 'Ann', 'both names at both ends')

  const seen = new awarenessProtocol.Awareness(new Y.Doc())
  t.after(() => seen.destroy())
  const socket = new WebSocket(`${server.ws}/${room}`)
  t.after(() => socket.terminate())
  await new Promise((resolve, reject) => socket.on('open', resolve).on('error', reject))
  let asked = false
  socket.on('message', (bytes) => {
    const decoder = decoding.createDecoder(new Uint8Array(bytes))
    if (asked && decoding.readVarUint(decoder) === 1) {
      awarenessProtocol.applyAwarenessUpdate(seen, decoding.readVarUint8Array(decoder), 'server')
    }
  })
  asked = true
  socket.send(new Uint8Array([3]))
  const names = () =>
    [...seen.getStates().values()]
      .map((state) => state.user?.name)
      .filter(Boolean)
      .sort()
      .join()
  await until(
    () => names() === 'Ann,Ben',
    () => `both names: ${names()}`
  )
})
