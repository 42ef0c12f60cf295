// Documents built with real Yjs, from which `wire-vectors.mjs` writes byte vectors and the mutation corpus.
// Everything is deterministic: client ids, subdocument ids and the pseudo-random editing are fixed here.
import * as Y from 'yjs'

/** A document of one client; `steps` edit it in order, each in its own transaction. */
const one = (client, ...steps) => {
  const doc = new Y.Doc({ guid: 'fixture' })
  doc.clientID = client
  for (const step of steps) doc.transact(() => step(doc))
  return doc
}

const state = doc => Y.encodeStateAsUpdate(doc)

/** The updates `doc` emits while `edit` runs. */
const emitted = (doc, edit) => {
  const updates = []
  const listen = update => updates.push(update)
  doc.on('update', listen)
  edit(doc)
  doc.off('update', listen)
  return updates
}

const xml = doc => {
  const fragment = doc.getXmlFragment('xml')
  const paragraph = new Y.XmlElement('paragraph')
  const text = new Y.XmlText()
  fragment.insert(0, [paragraph])
  paragraph.setAttribute('align', 'left')
  paragraph.insert(0, [text])
  text.insert(0, 'hello world')
  text.format(0, 5, { strong: true })
}

const everyValue = {
  null: null,
  true: true,
  false: false,
  int: 42,
  negative: -8192,
  large: 2 ** 40,
  float32: 1.5,
  float64: 0.1,
  string: 'h\u00e9 \u{1f600}',
  array: [1, [2, []], {}],
  object: { nested: { deeper: [null] } }
}

/** `roots` names the root types whose content is compared, with their kinds. */
export const cases = () => {
  const text = { content: 'text' }
  const out = []
  const add = (name, roots, update) => out.push({ name, roots, update })

  add('the empty update', {}, Uint8Array.of(0, 0))
  add('one insertion', text, state(one(7, doc => doc.getText('content').insert(0, 'hi'))))

  add('text inserted in the middle', text, state(one(7,
    doc => doc.getText('content').insert(0, 'ac'), doc => doc.getText('content').insert(1, 'b'))))

  const deleted = one(7, doc => doc.getText('content').insert(0, 'abcdef'))
  const [deletion] = emitted(deleted, doc => doc.getText('content').delete(1, 3))
  add('a deletion alone', text, deletion)
  add('text and its deletion', text, state(deleted))

  const left = one(7, doc => doc.getText('content').insert(0, 'left'))
  const right = one(8, doc => doc.getText('content').insert(0, 'right'))
  Y.applyUpdate(left, state(right))
  add('two clients at the same place', text, state(left))

  add('a format and its end', text, state(one(7,
    doc => doc.getText('content').insert(0, 'plain bold'),
    doc => doc.getText('content').format(6, 4, { bold: true, link: { href: 'https://example.org' } }))))
  add('an embed', text, state(one(7,
    doc => doc.getText('content').insertEmbed(0, { image: 'a.png', size: [1, 2] }))))
  add('an emoji', text, state(one(7, doc => doc.getText('content').insert(0, '\u{1f600}!'))))

  add('a map with every kind of value', { map: 'map' }, state(one(7, doc => {
    for (const [key, value] of Object.entries(everyValue)) doc.getMap('map').set(key, value)
  })))
  add('a map key written twice and one removed', { map: 'map' }, state(one(7,
    doc => { doc.getMap('map').set('a', 1); doc.getMap('map').set('b', 1) },
    doc => doc.getMap('map').set('a', 2),
    doc => doc.getMap('map').delete('b'))))
  add('an array with values and bytes', { list: 'array' }, state(one(7,
    doc => doc.getArray('list').insert(0, [1, 'two', null]),
    doc => doc.getArray('list').insert(1, [Uint8Array.of(0, 255)]),
    doc => doc.getArray('list').delete(1, 1))))
  add('types within types', { map: 'map' }, state(one(7, doc => {
    const list = new Y.Array()
    doc.getMap('map').set('list', list)
    const inner = new Y.Map()
    list.insert(0, [inner])
    inner.set('text', new Y.Text('deep'))
  })))
  add('XML elements, attributes and text', { xml: 'xml' }, state(one(7, xml)))
  add('a subdocument', {}, state(one(7, doc => {
    doc.getMap('map').set('sub', new Y.Doc({ guid: 'sub-1', autoLoad: true, meta: { title: 'x' } }))
    doc.getMap('map').set('after', 1)
  })))

  const collected = one(7, xml, doc => doc.getXmlFragment('xml').delete(0, 1),
    doc => doc.getText('content').insert(0, 'kept'), doc => doc.getText('content').delete(0, 2))
  add('a state with collected and deleted blocks', { xml: 'xml', content: 'text' }, state(collected))

  const holed = one(7)
  const parts = emitted(holed, doc => {
    for (const part of ['one ', 'two ', 'three']) {
      doc.transact(() => doc.getText('content').insert(doc.getText('content').length, part))
    }
  })
  add('a hole, written as a Skip', text, Y.mergeUpdates([parts[0], parts[2]]))

  const reloaded = one(1)
  for (let page = 0; page < 30; page++) {
    reloaded.clientID = 1000 + page * 7919
    reloaded.getText('content').insert(reloaded.getText('content').length, `page ${page}. `)
  }
  add('thirty offline reloads', text, state(reloaded))

  add('the greatest client id', text,
    state(one(Number.MAX_SAFE_INTEGER, doc => doc.getText('content').insert(0, 'x'))))
  add('legacy JSON content', { t: 'array' },
    Uint8Array.from([1, 1, 1, 0, 2, 1, 1, 0x74, 2, 1, 0x31, 1, 0x32, 0]))
  add('padded numbers', { t: 'text' },
    Uint8Array.from([0x81, 0, 1, 1, 0x80, 0, 4, 1, 1, 0x74, 1, 0x61, 0]))
  return out
}

const random = seed => {
  let a = seed >>> 0
  return below => {
    a = (a + 0x6d2b79f5) >>> 0
    let t = Math.imul(a ^ (a >>> 15), a | 1)
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61)
    return ((t ^ (t >>> 14)) >>> 0) % below
  }
}

const words = ['a', 'word', ' and ', '\n', '\u00fc\u{1f600}', 'the quick brown fox']

const edits = [
  (doc, pick) => doc.getText('content').insert(pick(doc.getText('content').length + 1), words[pick(words.length)]),
  (doc, pick) => {
    const text = doc.getText('content')
    if (text.length > 2) text.delete(pick(text.length - 2), 1 + pick(2))
  },
  (doc, pick) => {
    const text = doc.getText('content')
    if (text.length > 3) text.format(pick(text.length - 3), 3, { bold: pick(2) ? true : null })
  },
  (doc, pick) => doc.getText('content').insertEmbed(0, { n: pick(9), list: [pick(9), null] }),
  (doc, pick) => doc.getMap('map').set('k' + pick(4), [pick(100), 'v', { a: 0.5 * pick(7) }]),
  (doc, pick) => doc.getMap('map').delete('k' + pick(4)),
  (doc, pick) => doc.getArray('list').insert(pick(doc.getArray('list').length + 1), [pick(9), 'x', Uint8Array.of(pick(256))].slice(0, 1 + pick(3))),
  (doc, pick) => {
    const list = doc.getArray('list')
    if (list.length > 1) list.delete(pick(list.length - 1), 1)
  },
  (doc, pick) => {
    const inner = new Y.Map()
    doc.getArray('list').push([inner])
    inner.set('text', new Y.Text(words[pick(words.length)]))
  },
  (doc, pick) => {
    const element = new Y.XmlElement('p')
    doc.getXmlFragment('xml').insert(0, [element])
    element.setAttribute('n', String(pick(9)))
    element.insert(0, [new Y.XmlText(words[pick(words.length)])])
  },
  (doc, pick) => {
    const fragment = doc.getXmlFragment('xml')
    if (fragment.length > 1) fragment.delete(pick(fragment.length), 1)
  },
  (doc, pick) => doc.getMap('map').set('sub', new Y.Doc({ guid: 'sub-' + pick(9) }))
]

/** Updates of `sessions` seeded editing sessions of three clients that sometimes exchange states. */
export const corpus = sessions => {
  const updates = []
  for (let seed = 1; seed <= sessions; seed++) {
    const pick = random(seed)
    const docs = [1, 2, 3].map(n => one(seed * 1000 + n))
    for (let step = 0; step < 12; step++) {
      const doc = docs[pick(3)]
      const made = emitted(doc, () => doc.transact(() => edits[pick(edits.length)](doc, pick)))
      if (step % 4 === 3) updates.push(...made)
      if (pick(4) === 0) Y.applyUpdate(docs[pick(3)], state(doc))
    }
    for (const doc of docs) Y.applyUpdate(docs[0], state(doc))
    updates.push(state(docs[0]))
    if (pick(2)) updates.push(Y.encodeStateAsUpdate(docs[0], Y.encodeStateVector(docs[1])))
  }
  return updates
}
