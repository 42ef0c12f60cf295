// y-websocket's server as its package starts it, but on a free port, and it ends in order, with all
// stored, when its standard input does.
import http from 'node:http'
import { getPersistence, setupWSConnection } from '@y/websocket-server/utils'
import { WebSocketServer } from 'ws'

const server = http.createServer()
const sockets = new WebSocketServer({ server })
sockets.on('connection', setupWSConnection)
server.listen(0, '127.0.0.1', () => console.log(`port ${server.address().port}`))
process.stdin.on('end', async () => {
  for (const socket of sockets.clients) socket.terminate()
  const { provider } = getPersistence()
  // A document that was opened waits for its stored state before it stores what it was sent since.
  for (let turn = 0; turn < 3; turn++) await provider.getAllDocNames()
  await provider.destroy()
  process.exit()
})
process.stdin.resume()
