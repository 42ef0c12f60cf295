// Editing through the server with stock clients: every generation, all together, and every kind of
// content that Yjs has.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as Y from 'yjs'
import { converged, newRoom } from './families/replica.mjs'
import { Client, VERSIONS } from './families/ywebsocket.mjs'
import { Server } from './server.mjs'
import { until } from './until.mjs'

for (const version of VERSIONS) {
  test(`two clients of ${version} edit both ways`, async (t) => {
    const server = await Server.for(t)
    const room = newRoom()
    const ann = await Client.for(t, server.ws, room, { version })
    const ben = await Client.for(t, server.ws, room, { version })
    ann.text.insert(0, 'Hello')
    await ben.has('Hello')
    ben.text.insert(5, ', world')
    await ann.has('Hello, world')
    ann.text.delete(0, 7)
    await ben.has('world')
  })

  test(`concurrent typing of ${version} clients converges and stays`, async (t) => {
    const server = await Server.for(t)
    const room = newRoom()
    const clients = await Promise.all(
      [0, 1, 2].map(() => Client.for(t, server.ws, room, { version }))
    )
    for (let round = 0; round < 40; round++) {
      clients.forEach((client, at) =>
        client.text.insert(client.text.length, `${'abc'[at]}${round} `)
      )
    }
    await until(
      () =>
        clients.every(({ text }) => text.length === clients[0].text.length && text.length >= 390),
      () => `all words in all clients: ${clients.map(({ text }) => text.length)}`
    )
    const text = await converged(clients)
    for (let round = 0; round < 40; round++)
      for (const name of 'abc') assert.ok(text.includes(`${name}${round} `))
    const late = await Client.for(t, server.ws, room, { version })
    assert.equal(late.string, text)
  })
}

test('clients of all three generations write in one document at once', async (t) => {
  const server = await Server.for(t)
  const room = newRoom()
  const clients = await Promise.all(
    VERSIONS.map((version) => Client.for(t, server.ws, room, { version }))
  )
  clients.forEach((client) => client.text.insert(0, `from ${client.version}. `))
  const expected = VERSIONS.reduce((sum, version) => sum + `from ${version}. `.length, 0)
  await until(
    () => clients.every(({ text }) => text.length === expected),
    'every sentence in every client'
  )
  const text = await converged(clients)
  for (const version of VERSIONS) assert.ok(text.includes(`from ${version}. `), text)
})

test('a paste of 2 MB arrives whole, live and for the next client', async (t) => {
  const server = await Server.for(t)
  const room = newRoom()
  const ann = await Client.for(t, server.ws, room)
  const ben = await Client.for(t, server.ws, room, { version: '1.5.4' })
  const paste = 'The quick brown fox jumps over the lazy dog. '
    .repeat(Math.ceil(2 ** 21 / 45))
    .slice(0, 2 ** 21)
  ann.text.insert(0, paste)
  await ben.has(paste)
  const late = await Client.for(t, server.ws, room, { version: '2.1.0' })
  await late.has(paste)
  await server.kill()
  await server.restart()
  const later = await Client.for(t, server.ws, room)
  await later.has(paste)
})

test('formats, embeds, maps, arrays, XML and binaries keep their shape', async (t) => {
  const server = await Server.for(t)
  const room = newRoom()
  const ann = await Client.for(t, server.ws, room)
  const ben = await Client.for(t, server.ws, room, { version: '2.1.0' })
  ann.doc.transact(() => {
    const rich = ann.doc.getText('rich')
    rich.insert(0, 'plain bold linked')
    rich.format(6, 4, { bold: true })
    rich.format(11, 6, { link: { href: 'https://example.org/ä?q=1', title: null } })
    rich.insertEmbed(5, { image: 'ketchup.png', width: 12.5 })
    const map = ann.doc.getMap('map')
    map.set('number', 2 ** 40 + 0.5)
    map.set('big', 9007199254740993n)
    map.set('list', [1, 'zwei', null, false, { deep: [undefined, -0.25] }])
    map.set('bytes', new Uint8Array([0, 255, 1, 254]))
    const array = new Y.Array()
    map.set('array', array)
    array.push(['a', 2, new Y.Map([['inner', 'x']])])
    const paragraph = new Y.XmlElement('p')
    paragraph.setAttribute('class', 'lead')
    const inside = new Y.XmlText()
    inside.insert(0, 'In XML', { em: true })
    paragraph.insert(0, [inside, new Y.XmlElement('br')])
    ann.doc.getXmlFragment('xml').insert(0, [paragraph])
  })
  const shape = (doc) => ({
    rich: doc.getText('rich').toDelta(),
    map: doc.getMap('map').toJSON(),
    xml: doc.getXmlFragment('xml').toString()
  })
  const expected = shape(ann.doc)
  await until(() => ben.doc.getXmlFragment('xml').length === 1, 'the XML in the other client')
  assert.deepEqual(shape(ben.doc), expected)
  await server.kill()
  await server.restart()
  const late = await Client.for(t, server.ws, room, { version: '1.5.4' })
  assert.deepEqual(shape(late.doc), expected)
})

test('an XML hook, which is not stored, ends the session that sent it, no other', async (t) => {
  const server = await Server.for(t)
  const room = newRoom()
  const ann = await Client.for(t, server.ws, room)
  const ben = await Client.for(t, server.ws, room)
  ann.doc.getXmlFragment('xml').insert(0, [new Y.XmlHook('hook')])
  await until(
    () => ann.closes.includes(4415),
    () => `a close with 4415: ${ann.closes}`
  )
  ben.text.insert(0, 'untouched')
  const late = await Client.for(t, server.ws, room)
  await late.has('untouched')
  assert.deepEqual(ben.closes, [])
  assert.equal(late.doc.getXmlFragment('xml').length, 0)
})

test('a subdocument travels as a reference', async (t) => {
  const server = await Server.for(t)
  const room = newRoom()
  const ann = await Client.for(t, server.ws, room)
  const ben = await Client.for(t, server.ws, room)
  const child = new Y.Doc({ guid: 'chapter-1', meta: { title: 'One' }, autoLoad: true })
  ann.doc.getMap('chapters').set('one', child)
  const seen = await until(
    () => ben.doc.getMap('chapters').get('one'),
    'the reference in the other client'
  )
  assert.equal(seen.guid, 'chapter-1')
  assert.deepEqual(seen.meta, { title: 'One' })
  const late = await Client.for(t, server.ws, room)
  assert.equal(late.doc.getMap('chapters').get('one').guid, 'chapter-1')
})

test('an emoji split by an edit ends as Yjs itself ends it', async (t) => {
  const server = await Server.for(t)
  const room = newRoom()
  const ann = await Client.for(t, server.ws, room)
  const ben = await Client.for(t, server.ws, room)
  ann.text.insert(0, 'a😀b')
  await ben.has('a😀b')
  ann.text.insert(2, 'x')
  await ben.has(ann.string)
  ann.text.insert(0, '👩‍👩‍👧')
  ann.text.delete(1, 2)
  await ben.has(ann.string)
  const expected = ann.string
  const late = await Client.for(t, server.ws, room)
  assert.equal(late.string, expected)
  await server.kill()
  await server.restart()
  const later = await Client.for(t, server.ws, room)
  assert.equal(later.string, expected)
})

test('text in many scripts comes back letter by letter', async (t) => {
  const server = await Server.for(t)
  const room = newRoom()
  const ann = await Client.for(t, server.ws, room)
  const sample =
    'Žluťoučký kůň · Ελληνικά · кириллица · עברית · العربية · हिन्दी ' +
    '· 漢字かな · 한국어 · 𝒳𐍈 · é é · 🏳️‍🌈'
  ;[...sample].forEach((letter) => ann.text.insert(ann.text.length, letter))
  const ben = await Client.for(t, server.ws, room)
  await ben.has(sample)
})
