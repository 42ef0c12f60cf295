// The byte vectors of `tests/fixtures/wire/` against real Yjs, y-protocols and lib0:
//   node --test wire.test.mjs
// The same files run against Sheaf in `tests/tests/integration/wire.rs` and `guard.rs`.
import test from 'node:test'
import assert from 'node:assert/strict'
import fs from 'node:fs'
import { decode } from '@msgpack/msgpack'
import * as Y from 'yjs'
import * as decoding from 'lib0/decoding'
import { Awareness, applyAwarenessUpdate } from 'y-protocols/awareness'
import { asJson } from './wire-control.mjs'
import { readHocuspocus } from './wire-hocuspocus.mjs'
import { content, lines } from './wire-lines.mjs'
import { folder, text, vectors } from './wire-vectors.mjs'
import { hostile, messages } from './wire-hostile.mjs'
import { outcome } from './wire-outcome.mjs'

const committed = name => fs.readFileSync(new URL(name, folder), 'utf8')
const load = name => JSON.parse(committed(name))
const bytes = hex => Uint8Array.from(Buffer.from(hex, 'hex'))
const hex = buffer => Buffer.from(buffer).toString('hex')

test('the committed vectors are what stock Yjs writes', () => {
  for (const [name, list] of Object.entries(vectors())) assert.equal(committed(name), text(list), name)
})

/** Reads one frame with lib0 alone, as a stock client would if it read every message. */
const readFrame = frame => {
  const decoder = decoding.createDecoder(frame)
  const found = []
  const payload = name => found.push([name, hex(decoding.readVarUint8Array(decoder))])
  while (decoding.hasContent(decoder)) {
    const type = decoding.readVarUint(decoder)
    if (type === 0) payload(['step1', 'step2', 'update'][decoding.readVarUint(decoder)])
    else if (type === 1) payload('awareness')
    else if (type === 2) decoding.readVarUint(decoder) || payload('auth_denied')
    else if (type === 3) found.push(['query_awareness', ''])
    else if (type === 102) payload('echo')
  }
  return found
}

for (const vector of load('frames.json').filter(vector => !vector.refused)) {
  test(`frame: ${vector.name}`, () => assert.deepEqual(readFrame(bytes(vector.hex)), vector.messages))
}

for (const vector of load('hocuspocus.json').filter(vector => !vector.refused)) {
  test(`Hocuspocus, from the ${vector.from}: ${vector.name}`, () => {
    assert.deepEqual(readHocuspocus(bytes(vector.hex), vector.from), [vector.address, vector.message])
  })
}

for (const vector of load('control.json').filter(vector => vector.json && !vector.packed)) {
  test(`vault channel, from the ${vector.from}: ${vector.name}`, () => {
    assert.deepEqual(asJson(decode(bytes(vector.hex))), vector.json)
  })
}

for (const vector of load('updates.json')) {
  test(`update: ${vector.name}`, () => {
    const update = bytes(vector.hex)
    assert.deepEqual(lines(update), vector.lines)
    assert.deepEqual(content(vector.roots, update), vector.content)
  })
}

for (const vector of load('state_vectors.json')) {
  test(`state vector: ${vector.name}`, () => {
    assert.deepEqual([...Y.decodeStateVector(bytes(vector.hex))], vector.entries)
  })
}

for (const vector of load('awareness.json')) {
  test(`awareness: ${vector.name}`, () => {
    const presence = new Awareness(new Y.Doc())
    applyAwarenessUpdate(presence, bytes(vector.hex), null)
    for (const [client, clock, state] of vector.entries) {
      assert.equal(presence.meta.get(client)?.clock, clock)
      assert.deepEqual(presence.states.get(client) ?? null, JSON.parse(state))
    }
    presence.destroy()
  })
}

for (const vector of hostile().filter(vector => !vector.slow)) {
  test(`hostile: ${vector.name}`, t => {
    t.mock.method(console, 'error', () => {})
    assert.equal(outcome(vector, messages(vector)), vector.yjs)
  })
}
