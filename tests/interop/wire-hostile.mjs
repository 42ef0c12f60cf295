// Reads `hostile.json`: bytes that are spelled out, or described by parts.
import fs from 'node:fs'
import * as encoding from 'lib0/encoding'

const uint = n => {
  const encoder = encoding.createEncoder()
  encoding.writeVarUint(encoder, n)
  return Buffer.from(encoding.toUint8Array(encoder)).toString('hex')
}

/** A part is hex, repeated `times`, or once for each n in `from`..`to` with `{n}` as a varUint. */
const spell = part => {
  if (part.from === undefined) return [part.hex.repeat(part.times ?? 1)]
  const down = part.from > part.to
  const count = Math.abs(part.to - part.from) + 1
  return Array.from({ length: count }, (_, i) => part.hex.replace('{n}', uint(part.from + (down ? -i : i))))
}

/** The messages of one hostile vector: with `sequence` each n is one of its own. */
export const messages = vector => vector.messages.flatMap(parts => {
  const spelled = parts.map(spell)
  return vector.sequence ? spelled.flat() : [spelled.flat().join('')]
}).map(hex => Uint8Array.from(Buffer.from(hex, 'hex')))

export const hostile = () =>
  JSON.parse(fs.readFileSync(new URL('../fixtures/wire/hostile.json', import.meta.url), 'utf8'))
