// Where stock clients can put a token, and what they do when it is taken away.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import WebSocket from 'ws'
import * as Y from 'yjs'
import { WebsocketProvider } from 'yws3'
import { guarded, TOKENS, users } from './guarded.mjs'
import { until } from './until.mjs'

/** Opens a socket and tells the subprotocol it got, or the status it was refused with. */
function open(url, protocols) {
  return new Promise((resolve) => {
    const socket = new WebSocket(url, protocols)
    socket.on('unexpected-response', (_, response) => resolve(response.statusCode))
    socket.on('error', () => {})
    socket.on('open', () => {
      resolve(socket.protocol)
      socket.close()
    })
  })
}

test('a token goes in as a subprotocol, and another one comes back', async (t) => {
  const { server } = await guarded(t)
  const url = `${server.ws}/room`
  const ours = `sheaf.token.${Buffer.from(TOKENS.write).toString('base64url')}`
  assert.equal(await open(url, [ours, 'sheaf']), 'sheaf')
  assert.equal(await open(url, ['sheaf', ours]), 'sheaf')
  assert.equal(await open(url, [`yauth-${TOKENS.write}`, 'y']), 'y')
  // All there is: `ws` and browsers fail a connection whose offer is not taken up.
  assert.equal(await open(url, [`yauth-${TOKENS.write}`]), `yauth-${TOKENS.write}`)
  assert.equal(await open(`${url}?token=${TOKENS.write}`, []), '')
  assert.equal(await open(url, [`yauth-${TOKENS.write}x`, 'y']), 401)
  assert.equal(await open(url, []), 401)
})

test('a stock provider carries it in the query or as a subprotocol', async (t) => {
  const { server } = await guarded(t)
  const ways = [
    { params: { token: TOKENS.write } },
    { protocols: [`yauth-${TOKENS.write}`, 'sheaf'] }
  ]
  for (const options of ways) {
    const doc = new Y.Doc()
    const provider = new WebsocketProvider(server.ws, 'room', doc, {
      WebSocketPolyfill: WebSocket,
      disableBc: true,
      ...options
    })
    await until(() => provider.synced, 'synced')
    provider.destroy()
    // Its awareness keeps a timer, and so the process, until its document goes.
    doc.destroy()
  }
})

test('a stock provider stops for good when its token is taken away', async (t) => {
  const { server, configure } = await guarded(t)
  const doc = new Y.Doc()
  const provider = new WebsocketProvider(server.ws, 'room', doc, {
    WebSocketPolyfill: WebSocket,
    disableBc: true,
    params: { token: TOKENS.write }
  })
  t.after(() => {
    provider.destroy()
    doc.destroy()
  })
  const codes = []
  provider.on('connection-close', (event) => codes.push(event?.code))
  await until(() => provider.synced, 'synced')
  await configure(users('read', 'admin'))
  await until(() => codes.length > 0, 'closed')
  assert.deepEqual(codes, [4401])
  await until(() => !provider.shouldConnect, 'it does not come again')
})
