// Frames of zstd (RFC 8878) without any compression: blocks as they are, or one byte many times. Older Node has no
// zstd, and the bytes must be the same everywhere.

const BLOCK = 128 * 1024

const block = (type, size, isLast, content) => {
  const head = Buffer.alloc(3)
  head.writeUIntLE(size << 3 | type << 1 | (isLast ? 1 : 0), 0, 3)
  return Buffer.concat([head, content])
}

const blocks = (type, size, content) => {
  const count = Math.max(1, Math.ceil(size / BLOCK))
  return Array.from({ length: count }, (_, at) => {
    const length = Math.min(BLOCK, size - at * BLOCK)
    return block(type, length, at === count - 1, content(at * BLOCK, length))
  })
}

const magic = Buffer.from('28b52ffd', 'hex')

/** With its size in the header: one segment. */
const sized = size => {
  const head = Buffer.alloc(5)
  head[0] = 0xa0
  head.writeUInt32LE(size, 1)
  return head
}

/** Without: a window of 128 KiB. */
const unsized = Buffer.from([0x00, 0x38])

/** These bytes. */
export const stored = (bytes, { hasSize = true } = {}) => Buffer.concat([magic, hasSize ? sized(bytes.length) : unsized,
  ...blocks(0, bytes.length, (at, length) => bytes.subarray(at, at + length))])

/** So many zeros, in few bytes. */
export const zeros = (size, { hasSize = true } = {}) => Buffer.concat([magic, hasSize ? sized(size) : unsized,
  ...blocks(1, size, () => Buffer.from([0]))])
