// A stock y-websocket 3.1.0 client for tests in other languages:
// `node peer.mjs <server url> <room> <text to wait for> <text to append>`; ends when it was sent.
import { Client } from './families/ywebsocket.mjs'

const [url, room, expected, reply] = process.argv.slice(2)
const client = new Client(url, room)
await client.synced()
await client.has(expected)
client.text.insert(client.text.length, reply)
// It was sent when somebody else has it.
const other = new Client(url, room)
await other.has(expected + reply)
other.destroy()
client.destroy()
