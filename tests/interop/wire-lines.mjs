// What an update says, one line a block and a deletion, as `tests/src/wire.rs` writes it from the scan.
import * as Y from 'yjs'

const id = value => `${value.client}:${value.clock}`

const place = item => {
  const parts = []
  if (item.origin) parts.push(`after ${id(item.origin)}`)
  if (item.rightOrigin) parts.push(`before ${id(item.rightOrigin)}`)
  if (typeof item.parent === 'string') parts.push(`in root ${item.parent}`)
  else if (item.parent) parts.push(`in ${id(item.parent)}`)
  if (item.parentSub !== null) parts.push(`key ${item.parentSub}`)
  return parts
}

/** Lines such as `String 7:0+2 in root content` and `delete 7:1+3`. */
export const lines = update => {
  const { structs, ds } = Y.decodeUpdate(update)
  const blocks = structs.map(struct => {
    const kind = struct instanceof Y.Item ? struct.content.constructor.name.slice('Content'.length) : struct.constructor.name
    return [`${kind} ${id(struct.id)}+${struct.length}`, ...(struct instanceof Y.Item ? place(struct) : [])].join(' ')
  })
  const deletes = []
  for (const [client, ranges] of ds.clients) {
    for (const range of ranges) deletes.push(`delete ${client}:${range.clock}+${range.len}`)
  }
  return [...blocks, ...deletes]
}

const plain = {
  text: (doc, name) => doc.getText(name).toString(),
  map: (doc, name) => doc.getMap(name).toJSON(),
  array: (doc, name) => doc.getArray(name).toJSON(),
  xml: (doc, name) => doc.getXmlFragment(name).toString()
}

/** Content of the named roots after `update` alone, as JSON. */
export const content = (roots, update) => {
  const doc = new Y.Doc()
  Y.applyUpdate(doc, update)
  return Object.fromEntries(Object.entries(roots).map(([name, kind]) => [name, plain[kind](doc, name)]))
}
