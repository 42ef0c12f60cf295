// What the stores of the tests hold: a few documents of every kind of content, written by two
// clients, and how to tell whether a document has come through.
import { isDeepStrictEqual } from 'node:util'
import * as Y from 'yjs'
import { applyPatches, makeTrace, txnsInUnits } from '../trace.mjs'
import { until } from '../until.mjs'

const text = {
  write(doc) {
    const text = doc.getText('content')
    text.insert(0, 'Milk and bread, grüße 🌾')
    text.format(0, 4, { bold: true })
    text.insertEmbed(4, { image: 'milk.png' })
  },
  rewrite(doc) {
    const text = doc.getText('content')
    text.delete(5, 10)
    text.insert(0, '# ')
  }
}

const map = {
  write(doc) {
    const settings = doc.getMap('settings')
    settings.set('theme', 'dark')
    settings.set('sizes', Y.Array.from([1, 2.5, null, true, 'ü']))
    settings.set('gone', new Y.Map([['a', 1]]))
    settings.set('deep', new Y.Map([['deeper', new Y.Map([['bytes', new Uint8Array([1, 2])]])]]))
  },
  rewrite(doc) {
    const settings = doc.getMap('settings')
    settings.set('theme', 'light')
    settings.delete('gone')
    settings.get('sizes').delete(1, 2)
  }
}

const xml = {
  write(doc) {
    const fragment = doc.getXmlFragment('default')
    const paragraph = new Y.XmlElement('paragraph')
    paragraph.setAttribute('align', 'left')
    fragment.insert(0, [paragraph, new Y.XmlElement('rule')])
    paragraph.insert(0, [new Y.XmlText('written '), new Y.XmlText('twice')])
  },
  rewrite(doc) {
    const fragment = doc.getXmlFragment('default')
    fragment.get(0).setAttribute('align', 'right')
    fragment.get(0).get(1).insert(5, '!')
    fragment.delete(1, 1)
  }
}

/** A long one, letter by letter. */
const long = {
  write(doc) {
    for (const { patches } of txnsInUnits(makeTrace(5, 4_000)))
      applyPatches(doc.getText('content'), patches)
  },
  rewrite(doc) {
    doc.getText('content').delete(100, 400)
  }
}

/** By names that any server takes. */
export const CONTENTS = { text, map, xml, long }

/** All that a document says. */
export const shown = (doc) => ({
  content: doc.getText('content').toDelta(),
  settings: plain(doc.getMap('settings').toJSON()),
  default: doc.getXmlFragment('default').toString()
})
const plain = (value) => JSON.parse(JSON.stringify(value))

/**
 * Writes documents `kinds` (kind by name) by clients `Client` of the running server at `url`. Gives
 * what each of them shows then.
 */
export const writeAll = async (Client, url, kinds) => {
  const connect = async (name) => {
    const client = new Client(url, name)
    await client.synced()
    return client
  }
  const said = {}
  for (const [name, kind] of Object.entries(kinds)) said[name] = await write(connect, name, kind)
  return said
}

/** Writes the content `kind` into a document: `connect(name)` gives a synced client. */
const write = async (connect, name, kind) => {
  const { write, rewrite } = CONTENTS[kind]
  const [ann, ben] = [await connect(name), await connect(name)]
  write(ann.doc)
  await agree(ann, ben)
  rewrite(ben.doc)
  await agree(ann, ben)
  const said = shown(ann.doc)
  ann.destroy()
  ben.destroy()
  return said
}

const agree = (ann, ben) =>
  until(
    () => !ann.unsaved && !ben.unsaved && isDeepStrictEqual(shown(ann.doc), shown(ben.doc)),
    'two clients that show the same and have saved it'
  )
