// Writes the byte vectors in `tests/fixtures/wire/` with real Yjs, y-protocols and lib0:
//   node wire-vectors.mjs
// `wire.test.mjs` checks that what is committed is what this writes, `tests/tests/integration/wire.rs` that Sheaf
// reads and writes the same bytes. `hostile.json` is kept by hand.
import fs from 'node:fs'
import * as Y from 'yjs'
import * as encoding from 'lib0/encoding'
import * as sync from 'y-protocols/sync'
import * as auth from 'y-protocols/auth'
import { Awareness, encodeAwarenessUpdate } from 'y-protocols/awareness'
import { cases, corpus } from './wire-cases.mjs'
import { control } from './wire-control.mjs'
import { hocuspocus } from './wire-hocuspocus.mjs'
import { content, lines } from './wire-lines.mjs'

export const folder = new URL('../fixtures/wire/', import.meta.url)
const hex = bytes => Buffer.from(bytes).toString('hex')

const frame = write => {
  const encoder = encoding.createEncoder()
  write(encoder)
  return encoding.toUint8Array(encoder)
}

const message = (type, write) => frame(encoder => {
  encoding.writeVarUint(encoder, type)
  write(encoder)
})

const document = () => {
  const doc = new Y.Doc()
  doc.clientID = 7
  doc.getText('content').insert(0, 'hi')
  return doc
}

const frames = () => {
  const doc = document()
  const update = Y.encodeStateAsUpdate(doc)
  const step1 = message(0, encoder => sync.writeSyncStep1(encoder, doc))
  const step2 = message(0, encoder => sync.writeSyncStep2(encoder, doc))
  const typed = message(0, encoder => sync.writeUpdate(encoder, update))
  const awareness = message(1, encoder => encoding.writeVarUint8Array(encoder, Uint8Array.of(0)))
  const denied = message(2, encoder => auth.writePermissionDenied(encoder, 'no such token'))
  const query = message(3, () => {})
  const echo = message(102, encoder => encoding.writeVarUint8Array(encoder, Uint8Array.of(5)))
  const vector = hex(Y.encodeStateVector(doc))
  const good = [
    ['a state vector is asked for', step1, [['step1', vector]]],
    ['a state vector is answered', step2, [['step2', hex(update)]]],
    ['an edit', typed, [['update', hex(update)]]],
    ['a sign of life', awareness, [['awareness', '00']]],
    ['a refusal', denied, [['auth_denied', hex(Buffer.from('no such token'))]]],
    ['everyone\u2019s presence is asked for', query, [['query_awareness', '']]],
    ['an echo of our own', echo, [['echo', '05']]],
    ['several messages in one frame', Buffer.concat([step1, query, typed]),
      [['step1', vector], ['query_awareness', ''], ['update', hex(update)]]],
    ['an empty frame', Uint8Array.of(), []]
  ]
  const bad = [
    ['an unknown message', Uint8Array.of(4, 0), []],
    ['an unknown sync message', Uint8Array.of(0, 3, 0), []],
    ['an unknown auth message', Uint8Array.of(2, 1), []],
    ['a type alone', Uint8Array.of(0), []],
    ['a message cut short behind a whole one', Buffer.concat([query, typed.subarray(0, typed.length - 1)]),
      [['query_awareness', '']]],
    ['an echo of 65 bytes', message(102, encoder => encoding.writeVarUint8Array(encoder, new Uint8Array(65))), []]
  ]
  return [
    ...good.map(([name, bytes, messages]) => ({ name, hex: hex(bytes), messages })),
    ...bad.map(([name, bytes, messages]) => ({
      name, hex: hex(bytes), messages, refused: name.startsWith('an echo') ? 'too_large' : 'malformed'
    }))
  ]
}

const awareness = () => {
  const presence = new Awareness(document())
  presence.setLocalState({ user: { name: 'Zo\u00eb', color: '#30bced' }, cursor: null })
  const present = encodeAwarenessUpdate(presence, [7])
  presence.setLocalState(null)
  const gone = encodeAwarenessUpdate(presence, [7])
  presence.destroy()
  const two = frame(encoder => {
    encoding.writeVarUint(encoder, 2)
    for (const [client, clock, state] of [[8, 1, '{}'], [Number.MAX_SAFE_INTEGER, 2 ** 32 - 1, '"x"']]) {
      encoding.writeVarUint(encoder, client)
      encoding.writeVarUint(encoder, clock)
      encoding.writeVarString(encoder, state)
    }
  })
  return [
    { name: 'a sign of life', hex: '00', entries: [] },
    { name: 'someone comes', hex: hex(present), entries: [[7, 1, '{"user":{"name":"Zo\u00eb","color":"#30bced"},"cursor":null}']] },
    { name: 'someone leaves', hex: hex(gone), entries: [[7, 2, 'null']] },
    { name: 'two, one with the greatest numbers', hex: hex(two), entries: [[8, 1, '{}'], [Number.MAX_SAFE_INTEGER, 2 ** 32 - 1, '"x"']] }
  ]
}

const stateVectors = () => {
  const two = document()
  two.clientID = 300
  two.getText('content').insert(2, '!')
  return [
    { name: 'of nothing', hex: '00', entries: [] },
    { name: 'of one client', hex: hex(Y.encodeStateVector(document())), entries: [[7, 2]] },
    { name: 'of two clients', hex: hex(Y.encodeStateVector(two)), entries: [[300, 1], [7, 2]] }
  ]
}

const updates = () => cases().map(({ name, roots, update }) => ({
  name, hex: hex(update), lines: lines(update), roots, content: content(roots, update)
}))

/** File name to list of vectors. */
export const vectors = () => ({
  'frames.json': frames(),
  'hocuspocus.json': hocuspocus(),
  'control.json': control(),
  'awareness.json': awareness(),
  'state_vectors.json': stateVectors(),
  'updates.json': updates(),
  'corpus.json': corpus(30).map(hex)
})

/** One vector a line, so that a change reads well. */
export const text = list => `[\n${list.map(entry => '  ' + JSON.stringify(entry)).join(',\n')}\n]\n`

if (process.argv[1] === new URL(import.meta.url).pathname) {
  for (const [name, list] of Object.entries(vectors())) fs.writeFileSync(new URL(name, folder), text(list))
}
