// Editing traces: reads recorded ones (the JSON of github.com/josephg/editing-traces, gzipped or
// not) and makes up realistic ones from a seed. Positions and lengths are in Unicode code points.
import { readFile } from 'node:fs/promises'
import { gunzipSync } from 'node:zlib'

/**
 * A trace: `{ name, endContent, agents, txns }`, a transaction of which is
 * `{ agent, parents, patches: [[at, deleted, text]] }`.
 * `agents` is 0 if the trace is sequential: each transaction then follows the one before it.
 */
export const readTrace = async (path) => {
  const bytes = await readFile(path)
  const isGzip = bytes[0] === 0x1f && bytes[1] === 0x8b
  const {
    kind,
    startContent = '',
    endContent,
    numAgents = 0,
    txns
  } = JSON.parse(isGzip ? gunzipSync(bytes) : bytes)
  const agents = kind === 'concurrent' ? numAgents : 0
  const start = startContent === '' ? [] : [{ patches: [[0, 0, startContent]] }]
  if (start.length > 0 && agents > 0)
    throw new Error('a concurrent trace with a start content is not known')
  return { name: path.split('/').at(-1), endContent, agents, txns: [...start, ...txns] }
}

const WORDS = (
  'the of a to and in we it that is on with for was garden plan meeting green light paper ' +
  'write together morning across river because although several naïve façade ' +
  'übrigens 漢字 мир 🌾 👩‍🌾'
).split(' ')

/** Numbers in [0, 1) from a seed (mulberry32). */
const randomOf = (seed) => () => {
  seed = (seed + 0x6d2b79f5) | 0
  let mixed = Math.imul(seed ^ (seed >>> 15), 1 | seed)
  mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
  return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
}

/**
 * Somebody writing: words letter by letter with slips taken back, new lines, jumps to earlier
 * places, deleted words and pasted sentences. About `keys` transactions.
 */
export const makeTrace = (seed, keys = 20_000) => {
  const random = randomOf(seed)
  const upTo = (limit) => Math.floor(random() * limit)
  const text = []
  const txns = []
  let cursor = 0
  const patch = (at, deleted, inserted) => {
    const letters = [...inserted]
    text.splice(at, deleted, ...letters)
    txns.push({ patches: [[at, deleted, inserted]] })
    cursor = at + letters.length
  }
  const word = () => WORDS[upTo(WORDS.length)]
  while (txns.length < keys) {
    const what = random()
    if (what < 0.86) {
      for (const letter of [...word(), ' ']) {
        patch(cursor, 0, letter)
        if (random() < 0.04) patch(cursor - 1, 1, '')
      }
    } else if (what < 0.91) {
      patch(cursor, 0, '\n')
    } else if (what < 0.96) {
      cursor = upTo(text.length + 1)
    } else if (what < 0.985) {
      const from = Math.max(0, cursor - 1 - upTo(12))
      for (let at = cursor; at > from; at--) patch(at - 1, 1, '')
    } else {
      patch(
        cursor,
        Math.min(upTo(30), text.length - cursor),
        Array.from({ length: 12 }, word).join(' ')
      )
    }
  }
  return { name: `made up from seed ${seed}`, endContent: text.join(''), agents: 0, txns }
}

/** Whether code points and UTF-16 units can differ in this trace. */
export const hasAstral = ({ txns }) =>
  txns.some(({ patches }) => patches.some(([, , text]) => /[\u{10000}-\u{10ffff}]/u.test(text)))

/** How many UTF-16 units the `count` code points of `text` from unit `from` on take. */
const unitsOf = (text, from, count) => {
  let at = from
  for (let left = count; left > 0; left--) at += text.codePointAt(at) > 0xffff ? 2 : 1
  return at - from
}

/** `patches`, which apply to `text` one after the other, with positions and lengths in UTF-16. */
export const inUnits = (patches, text) =>
  patches.map(([at, deleted, inserted]) => {
    const from = unitsOf(text, 0, at)
    const units = unitsOf(text, from, deleted)
    text = text.slice(0, from) + inserted + text.slice(from + units)
    return [from, units, inserted]
  })

/** The transactions of a sequential trace, in UTF-16. */
export const txnsInUnits = (trace) => {
  if (!hasAstral(trace)) return trace.txns
  let text = ''
  return trace.txns.map(({ patches }) => {
    const made = inUnits(patches, text)
    for (const [at, deleted, inserted] of made)
      text = text.slice(0, at) + inserted + text.slice(at + deleted)
    return { patches: made }
  })
}

/** Applies `patches`, in UTF-16, to a Y.Text in one transaction. */
export const applyPatches = (text, patches) =>
  text.doc.transact(() => {
    for (const [at, deleted, inserted] of patches) {
      if (deleted > 0) text.delete(at, deleted)
      if (inserted !== '') text.insert(at, inserted)
    }
  })
