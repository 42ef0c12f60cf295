// What Hocuspocus providers have that the other families have not: messages without state, tokens
// that take their time, one socket with a refused document, updates that are sent in batches.
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { Client, socketFor, VERSIONS } from './families/hocuspocus.mjs'
import { newRoom } from './families/replica.mjs'
import { guarded, TOKENS } from './guarded.mjs'
import { Server } from './server.mjs'
import { until } from './until.mjs'

for (const version of VERSIONS) {
  describe(`hocuspocus ${version}`, { concurrency: true }, () => {
    test(`${version}: a stateless message reaches its document and no other`, async (t) => {
      const server = await Server.for(t)
      const room = newRoom()
      const socket = socketFor(t, server.ws, version)
      const ann = await Client.for(t, server.ws, room, { version, socket })
      const ben = await Client.for(t, server.ws, room, { version })
      const other = await Client.for(t, server.ws, newRoom(), { version, socket })
      const messages = ['{"saved":1}', '', 'ümläut 🌾']
      for (const message of messages) ann.provider.sendStateless(message)
      await until(
        () => ben.stateless.length === 3,
        () => `three messages: ${ben.stateless}`
      )
      assert.deepEqual(ben.stateless, messages)
      ben.provider.sendStateless('back')
      await until(() => ann.stateless.includes('back'), 'the answer')
      assert.deepEqual(other.stateless, [])
    })

    test(`${version}: what is written while the token is on its way is not lost`, async (t) => {
      const { server } = await guarded(t)
      const room = newRoom()
      const ben = await Client.for(t, server.ws, room, { version, token: TOKENS.write })
      let give = null
      const token = () => new Promise((resolve) => (give = () => resolve(TOKENS.write)))
      const ann = new Client(server.ws, room, { version, token })
      t.after(() => ann.destroy())
      await until(() => give, 'the question for the token')
      ann.append('early')
      ann.named('Ann')
      give()
      await ben.has('early')
      await until(() => ben.sees(ann) === 'Ann', 'the name')
      await ann.saved()
    })

    test(`${version}: a refused document leaves the others on its socket alone`, async (t) => {
      const { server } = await guarded(t)
      const [room, closed] = [newRoom(), newRoom('closed')]
      const socket = socketFor(t, server.ws, version)
      const ann = await Client.for(t, server.ws, room, { version, socket, token: TOKENS.write })
      const refused = new Client(server.ws, closed, { version, socket, token: 'worthless' })
      t.after(() => refused.destroy())
      await until(() => refused.wasDenied, 'the refusal')
      assert.equal(typeof refused.denials[0], 'string')
      const ben = await Client.for(t, server.ws, room, { version, token: TOKENS.write })
      ann.append('alive')
      await ben.has('alive')
      await ann.saved()
      // Another provider in the place of the one that was refused, whose Close is not about it.
      // (Hocuspocus 4.7 keeps that Close until somebody is let in, and closes the newcomer.)
      refused.destroy()
      const next = await Client.for(t, server.ws, closed, {
        version,
        socket,
        token: TOKENS.write
      })
      next.append('open')
      await next.saved()
    })
  })
}

test('updates that 4.8 sends in batches are acknowledged as it counts them', async (t) => {
  const server = await Server.for(t)
  const room = newRoom()
  const settings = { flushDelay: 20 }
  const ann = await Client.for(t, server.ws, room, { settings })
  const ben = await Client.for(t, server.ws, room)
  for (let at = 0; at < 50; at++) ann.append(`${at} `)
  await ben.has(ann.string)
  await ann.saved()
  assert.equal(ann.unsynced, 0)
})
