// Frames of the Hocuspocus provider, written and read with lib0 as the provider and its servers do.
// Called by `wire-vectors.mjs`, which writes `hocuspocus.json`, and by `wire.test.mjs`, which reads it.
import * as Y from 'yjs'
import * as decoding from 'lib0/decoding'
import * as encoding from 'lib0/encoding'

const hex = bytes => Buffer.from(bytes).toString('hex')
const uint = n => encoder => encoding.writeVarUint(encoder, n)
const text = string => encoder => encoding.writeVarString(encoder, string)
const buffer = bytes => encoder => encoding.writeVarUint8Array(encoder, bytes)

const written = parts => {
  const encoder = encoding.createEncoder()
  for (const part of parts) part(encoder)
  return hex(encoding.toUint8Array(encoder))
}

const session = 'notes\0k3x9q2m'

const good = () => {
  const doc = new Y.Doc()
  doc.clientID = 7
  doc.getText('content').insert(0, 'hi')
  const vector = Y.encodeStateVector(doc)
  const update = Y.encodeStateAsUpdate(doc)
  const empty = Uint8Array.of(0)
  return [
    ['client', 'a token of provider 2 or 3', 'notes', ['auth', 'let me'], [uint(2), uint(0), text('let me')]],
    ['client', 'a token of provider 4', 'notes', ['auth', 'let me', '4.8.0'],
      [uint(2), uint(0), text('let me'), text('4.8.0')]],
    ['client', 'a token of a session of its own', session, ['auth', '', '4.8.0'],
      [uint(2), uint(0), text(''), text('4.8.0')]],
    ['client', 'a state vector is asked for', 'notes', ['step1', hex(vector)], [uint(0), uint(0), buffer(vector)]],
    ['client', 'our state vector is answered', 'notes', ['step2', hex(update)], [uint(0), uint(1), buffer(update)]],
    ['client', 'an edit', 'a/\u00e9', ['update', hex(update)], [uint(0), uint(2), buffer(update)]],
    ['client', 'presence', 'notes', ['awareness', '00'], [uint(1), buffer(empty)]],
    ['client', 'everyone\u2019s presence is asked for', 'notes', ['query_awareness'], [uint(3)]],
    ['client', 'a stateless message', 'notes', ['stateless', '{"saved":true}'], [uint(5), text('{"saved":true}')]],
    ['client', 'a broadcast, which is for servers', 'notes', ['broadcast_stateless'], [uint(6), text('all')]],
    ['client', 'a leave', 'notes', ['leave'], [uint(7)]],
    ['client', 'a pong', null, ['pong'], [uint(10)]],
    ['server', 'a ping', null, ['ping'], [uint(9)]],
    ['server', 'a state vector is asked for', 'notes', ['step1', '00'], [uint(0), uint(0), buffer(empty)]],
    ['server', 'a state vector is answered', session, ['step2', hex(update)], [uint(0), uint(1), buffer(update)]],
    ['server', 'an edit of somebody else', 'notes', ['update', hex(update)], [uint(0), uint(2), buffer(update)]],
    ['server', 'a sign of life', 'notes', ['awareness', '00'], [uint(1), buffer(empty)]],
    ['server', 'the token once more', 'notes', ['auth_again'], [uint(2), uint(0)]],
    ['server', 'a refusal', 'notes', ['auth_denied', 'no such token'], [uint(2), uint(1), text('no such token')]],
    ['server', 'leave to write', session, ['auth_scope', 'read-write'], [uint(2), uint(2), text('read-write')]],
    ['server', 'leave to read', 'notes', ['auth_scope', 'readonly'], [uint(2), uint(2), text('readonly')]],
    ['server', 'a stateless message', 'notes', ['stateless', 'hi'], [uint(5), text('hi')]],
    ['server', 'a close', 'notes', ['close', 'deleted'], [uint(7), text('deleted')]],
    ['server', 'a change that is durable', 'notes', ['sync_status', '1'], [uint(8), uint(1)]],
    ['server', 'a change that was not taken', 'notes', ['sync_status', '0'], [uint(8), uint(0)]]
  ]
}

const long = n => text('l'.repeat(n))

const bad = () => [
  ['an empty frame', []],
  ['a byte that is neither ping nor pong', [uint(8)]],
  ['an address alone', [text('notes')]],
  ['no name', [text(''), uint(3)]],
  ['a session without a name', [text('\0k3x9q2m'), uint(3)]],
  ['two NULs', [text('notes\0a\0b'), uint(3)]],
  ['a token cut short', [text('notes'), uint(2), uint(0), uint(6)]],
  ['bytes behind a leave', [text('notes'), uint(7), text('deleted')]],
  ['bytes behind an edit', [text('notes'), uint(0), uint(2), buffer(Uint8Array.of(0, 0)), uint(3)]],
  ['a reply between servers', [text('notes'), uint(4), uint(0), buffer(Uint8Array.of(0))]],
  ['a sync status from a client', [text('notes'), uint(8), uint(1)]],
  ['a scope from a client', [text('notes'), uint(2), uint(2), text('read-write')]],
  ['a ping with an address', [text('notes'), uint(9)]],
  ['an unknown message', [text('notes'), uint(11)]],
  ['a name of 1,025 bytes', [long(1025), uint(3)]],
  ['a session of 65 bytes', [text(`notes\0${'l'.repeat(65)}`), uint(3)]],
  ['a version of 65 bytes', [text('notes'), uint(2), uint(0), text('let me'), long(65)]]
]

/** The vectors of `hocuspocus.json`: who says what to which address, or why a client's bytes are refused. */
export const hocuspocus = () => [
  ...good().map(([from, name, address, message, parts]) => ({
    name, from, hex: written(address === null ? parts : [text(address), ...parts]), address, message
  })),
  ...bad().map(([name, parts]) => ({
    name, from: 'client', hex: written(parts), refused: / of [\d,]+ bytes$/.test(name) ? 'too_large' : 'malformed'
  }))
]

const payload = decoder => hex(decoding.readVarUint8Array(decoder))
const string = decoding.readVarString

const readAuth = (decoder, from) => {
  const kind = decoding.readVarUint(decoder)
  if (kind === 1) return ['auth_denied', string(decoder)]
  if (kind === 2) return ['auth_scope', string(decoder)]
  if (from === 'server') return ['auth_again']
  const token = string(decoder)
  return decoding.hasContent(decoder) ? ['auth', token, string(decoder)] : ['auth', token]
}

const readMessage = (decoder, from) => {
  const type = decoding.readVarUint(decoder)
  if (type === 0) return [['step1', 'step2', 'update'][decoding.readVarUint(decoder)], payload(decoder)]
  if (type === 1) return ['awareness', payload(decoder)]
  if (type === 2) return readAuth(decoder, from)
  if (type === 3) return ['query_awareness']
  if (type === 5) return ['stateless', string(decoder)]
  if (type === 6) return string(decoder) && ['broadcast_stateless']
  if (type === 7) return from === 'server' ? ['close', string(decoder)] : ['leave']
  // The provider reads a signed number here.
  if (type === 8) return ['sync_status', String(decoding.readVarInt(decoder))]
  throw new Error(`type ${type}`)
}

/** Reads one frame as the provider (from a server) or its server (from a client) does. */
export const readHocuspocus = (frame, from) => {
  if (frame.length === 1 && frame[0] === 9) return [null, ['ping']]
  if (frame.length === 1 && frame[0] === 10) return [null, ['pong']]
  const decoder = decoding.createDecoder(frame)
  return [string(decoder), readMessage(decoder, from)]
}
