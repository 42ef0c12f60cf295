// What stock Yjs 13 does with a hostile vector.
import * as Y from 'yjs'
import * as decoding from 'lib0/decoding'
import * as sync from 'y-protocols/sync'
import { Awareness, applyAwarenessUpdate } from 'y-protocols/awareness'
import * as encoding from 'lib0/encoding'

const read = {
  update: (doc, bytes) => Y.applyUpdate(doc, bytes),
  state_vector: (doc, bytes) => Y.encodeStateAsUpdate(doc, bytes),
  awareness: (doc, bytes) => {
    const presence = new Awareness(doc)
    try {
      applyAwarenessUpdate(presence, bytes, null)
    } finally {
      presence.destroy()
    }
  },
  frame: (doc, bytes) => {
    const decoder = decoding.createDecoder(bytes)
    while (decoding.hasContent(decoder)) {
      const type = decoding.readVarUint(decoder)
      if (type === 0) sync.readSyncMessage(decoder, encoding.createEncoder(), doc, null, error => { throw error })
      else if (type !== 3) decoding.readVarUint8Array(decoder)
    }
  }
}

/** `throws` if any message does, else `waits` if the document keeps something pending, else `applies`. */
export const outcome = (vector, messages) => {
  const doc = new Y.Doc()
  try {
    for (const bytes of messages) read[vector.kind](doc, bytes)
    Y.encodeStateAsUpdate(doc)
  } catch {
    return 'throws'
  }
  if (vector.roots) {
    const found = Object.fromEntries(Object.entries(vector.roots).map(([name, kind]) =>
      [name, kind === 'text' ? doc.getText(name).toString() : doc.getArray(name).toJSON()]))
    if (JSON.stringify(found) !== JSON.stringify(vector.content)) return `differs: ${JSON.stringify(found)}`
  }
  return doc.store.pendingStructs || doc.store.pendingDs ? 'waits' : 'applies'
}
