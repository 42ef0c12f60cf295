// The editors that people bind to Yjs, each over each family of clients, with two replicas through
// the server: what is typed at one end stands at the other, both typing at once ends in one text,
// and a late one sees it.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { EDITORS } from './editors.mjs'
import * as hocuspocus from './families/hocuspocus.mjs'
import { newRoom } from './families/replica.mjs'
import * as ysweet from './families/ysweet.mjs'
import * as ywebsocket from './families/ywebsocket.mjs'
import { Server } from './server.mjs'
import { until } from './until.mjs'

const FAMILIES = [ywebsocket, hocuspocus, ysweet]
const PAIRS = Object.entries(EDITORS).flatMap(([name, load]) =>
  FAMILIES.map((family) => ({ name, load, ...family }))
)

for (const { name, load, FAMILY, Client } of PAIRS) {
  test(`${name} over ${FAMILY}: two editors converge`, async (t) => {
    const bind = await load()
    const server = await Server.for(t)
    const room = newRoom()
    const open = async () => {
      const client = new Client(server.ws, room)
      const editor = bind(client.doc, client.awareness, client.provider)
      // In this order: a binding that hears of the client's end draws once more.
      t.after(() => {
        editor.destroy()
        client.destroy()
      })
      await client.synced()
      return editor
    }
    const shows = (editor, expected) =>
      until(
        () => editor.text() === expected,
        () => `${JSON.stringify(expected)} in the editor: ${JSON.stringify(editor.text())}`
      )
    const ann = await open()
    ann.type('world')
    const ben = await open()
    await shows(ben, 'world')
    ben.type('Hello, ')
    await shows(ann, 'Hello, world')
    // Both at the same place, before either has heard of the other's.
    ann.type('Ann. ')
    ben.type('Ben. ')
    const words = ['Ann. ', 'Ben. ', 'Hello, world']
    await until(
      () => ann.text() === ben.text() && words.every((each) => ann.text().includes(each)),
      () => `one text: ${JSON.stringify([ann.text(), ben.text()])}`
    )
    const late = await open()
    await shows(late, ann.text())
    assert.equal(late.text().length, words.join('').length)
  })
}
