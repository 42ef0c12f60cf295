// Messages of the vault channel, written with the packages that clients would take: JSON.stringify and
// @msgpack/msgpack. Called by `wire-vectors.mjs`, which writes `control.json`, and by `wire.test.mjs`.
import { encode } from '@msgpack/msgpack'
import { stored, zeros } from './wire-zstd.mjs'

const hex = bytes => Buffer.from(bytes).toString('hex')
const bytes = (...list) => Uint8Array.from(list)
const isBytes = value => value instanceof Uint8Array

/** As JSON has it: bytes in base64. */
export const asJson = value => {
  if (isBytes(value)) return Buffer.from(value).toString('base64')
  if (Array.isArray(value)) return value.map(asJson)
  if (value === null || typeof value !== 'object') return value
  return Object.fromEntries(Object.entries(value).map(([key, value]) => [key, asJson(value)]))
}

const id = '019VE2TSC0009BAYKQ71EBTG37'
const hash = 'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad'
const file = { path: 'notes/a.md', id, version: 42, size: 3, hash, kind: 'text' }

const client = () => [
  ['who it is', { type: 'auth', re: 1, token: 'alice-token', vault: 'personal', device: 'b57a77385cbd4067',
    since: 41, epoch: '1438213039488', view: 'files', compress: true }],
  ['who it is, where the upgrade has said the rest', { type: 'auth' }],
  ['all files', { type: 'list_files', re: 'a', since_version: 0, limit: 1000 }],
  ['files behind a version', { type: 'list_files', since_version: 4294967296 }],
  ['changes', { type: 'get_changes', re: 2, since: 7, collections: ['files'] }],
  ['a new file', { type: 'upload_file', re: 3, path: 'notes/a.md', content: 'h\u00e9\ud83d\ude00\n', base_version: 0,
    stamp: id, timestamp: 1438213039488 }],
  ['a file in base64', { type: 'upload_file', path: 'a.png', content: 'iVBORw==', encoding: 'base64' }],
  ['a file whose bytes are there', { type: 'upload_file', path: 'a.png', blob: hash, base_version: 41 }],
  ['a difference', { type: 'upload_file', path: 'notes/a.md', diff: [3, 'ins', -2], unit: 'unicode', base_version: 42 }],
  ['a file', { type: 'download_file', re: 4, path: 'notes/a.md', version: 42 }],
  ['a deletion', { type: 'delete_file', path: 'notes/a.md', base_version: 42 }],
  ['a move', { type: 'move_file', path: 'notes/a.md', to: 'b/c.md' }],
  ['many operations', { type: 'push', re: 5, items: [
    { id: 1, type: 'upload_file', path: 'a.md', content: 'a' },
    { id: 'two', type: 'delete_file', path: 'b.md' },
    { id: 3, type: 'move_file', path: 'c.md', to: 'd.md' }
  ], mode: 'independent' }],
  ['what it holds', { type: 'ack', version: 42 }],
  ['it joins a document', { type: 'doc_sync', re: 6, id, sv: bytes(1, 7, 2) }],
  ['an edit', { type: 'doc_update', re: 7, id, update: bytes(0, 0) }],
  ['it leaves a document', { type: 'doc_close', id }],
  ['is somebody there', { type: 'ping', re: -1 }]
]

const server = () => [
  ['it is let in', { type: 'auth_ok', re: 1, user: 'alice', device: 'b57a77385cbd4067', vault: 'personal', mode: 'open',
    role: 'write', epoch: '1438213039488', version: 42, horizon: 0, server_time: 1438213039488, limits: {
      frame_bytes: 16777216, document_bytes: 10485760, file_bytes: 536870912, page_items: 1000, batch_items: 1000,
      documents: 256, wait_s: 55, clock_drift_ms: 100 } }],
  ['everything is there', { type: 'sync_complete', total_files: 150, current_version: 42, bytes: 300 }],
  ['a page of files', { type: 'file_list', re: 'a', files: [
    { ...file, created_at: 1438213039488, updated_at: 1438213039500, user: 'alice', deleted: false },
    { path: 'gone.md', id, version: 43, size: 0, hash: null, kind: 'empty', created_at: 1, updated_at: 2, deleted: true }
  ], version: 43, has_more: true, next: 43 }],
  ['a file changed', { type: 'file_updated', path: 'notes/a.md', version: 42, size: 3, hash, id, kind: 'text',
    by: '0000000000000001', user: 'alice', stamp: id, from: 'a.md' }],
  ['a file is gone', { type: 'file_deleted', path: 'notes/a.md', version: 43, id }],
  ['a text', { type: 'file_content', re: 4, ...{ path: 'notes/a.md', id, version: 42, size: 3, hash, kind: 'text' },
    content: 'abc' }],
  ['an item changed', { type: 'change', seq: 42, op: 'put', collection: 'files', id, path: 'notes/a.md', size: 3, hash,
    kind: 'text', user: 'alice' }],
  ['a page of changes', { type: 'changes', re: 2, items: [], next: null, has_more: false, version: 42 }],
  ['much changed', { type: 'touched', collection: 'files', from: 42, to: 2042, count: 2000 }],
  ['a device is away for too long', { type: 'device', device: 'b57a77385cbd4067', state: 'stale' }],
  ['it is durable', { type: 'ack', re: 3, path: 'notes/a.md', id, version: 42, size: 3, hash, merged: true, conflict: false,
    content: 'abc' }],
  ['what came of a push', { type: 'push_result', re: 5, success: [
    { id: 1, item_id: id, sync_ids: [42], data: { path: 'a.md', version: 42 } }
  ], failures: [
    { id: 'two', error: { code: 'FILE_NOT_FOUND', message: 'there is no such file', retryable: false, details: {} } }
  ], blocked: [{ id: 3 }], version: 42 }],
  ['an edit of somebody else', { type: 'doc_update', id, update: bytes(0, 0) }],
  ['a refusal', { type: 'error', re: 3, code: 'INVALID_PATH', message: 'no', retryable: false,
    details: { field: 'path' } }],
  ['somebody is there', { type: 'pong', re: -1, server_time: 1438213039488 }]
]

const raw = (name, bytes, refused) => ({ name, from: 'client', hex: typeof bytes === 'string' ? bytes : hex(bytes), refused })

const bad = () => [
  raw('nothing', '', 'invalid_message'),
  raw('no map', encode([1]), 'invalid_message'),
  raw('a list in the order of the fields', encode(['ping', 1]), 'invalid_message'),
  raw('no type', encode({ re: 1 }), 'invalid_message'),
  raw('an unknown type', encode({ type: 'rename', re: 1 }), 'unknown_type'),
  raw('a field of another type', encode({ type: 'download_file', path: 7 }), 'invalid_message'),
  raw('a field too few', encode({ type: 'download_file' }), 'invalid_message'),
  raw('bytes behind it', hex(encode({ type: 'ping' })) + 'c0', 'invalid_message'),
  raw('cut short', hex(encode({ type: 'ping' })).slice(0, -2), 'invalid_message'),
  raw('a list said to have four thousand million values', '82a474797065a470696e67a178ddffffffff', 'invalid_message'),
  raw('lists in lists', '82a474797065a470696e67a178' + '91'.repeat(64) + 'c0', 'invalid_message'),
  raw('an extension', '82a474797065a470696e67a178d40000', 'invalid_message'),
  raw('a name too long', encode({ type: 'ping', re: 'x'.repeat(129) }), 'invalid_message'),
  raw('compressed twice', encode({ z: stored(encode({ z: stored(encode({ type: 'ping' })) })) }),
    'invalid_message'),
  raw('compressed, and more than a message', encode({ z: zeros(16777217) }), 'too_large'),
  raw('compressed, and more than a message without saying so', encode({ z: zeros(16777217, { hasSize: false }) }),
    'too_large'),
  raw('no zstd', encode({ z: bytes(1, 2, 3) }), 'invalid_message')
]

/** Compressed frames: packers differ in their bytes, so these are only read. */
const packed = () => [true, false].map(hasSize => {
  const message = { type: 'upload_file', re: 1, path: 'a.md', content: 'ab' }
  const name = `compressed, ${hasSize ? 'with' : 'without'} its size`
  return { name, from: 'client', json: message, hex: hex(encode({ z: stored(encode(message), { hasSize }) })), packed: true }
})

export const control = () => [
  ...client().map(([name, message]) => ({ name, from: 'client', json: asJson(message), hex: hex(encode(message)) })),
  ...server().map(([name, message]) => ({ name, from: 'server', json: asJson(message), hex: hex(encode(message)) })),
  ...packed(),
  ...bad()
]
