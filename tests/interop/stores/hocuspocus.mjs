// The store of a Hocuspocus server with its SQLite extension. The extension's own SQLite is a native
// module; here it is SQLite built for WebAssembly, which needs no compiler. Everything else, the
// schema and its queries too, is the extension's.
import { schema, SQLite, selectQuery, upsertQuery } from '@hocuspocus/extension-sqlite'
import { Server } from '@hocuspocus/server'
import sqlite from 'node-sqlite3-wasm'
import { Client } from '../families/hocuspocus.mjs'
import { writeAll } from './contents.mjs'

export class Store extends SQLite {
  async onConfigure() {
    this.db = new sqlite.Database(this.configuration.database)
    this.db.exec(this.configuration.schema)
    this.configuration.fetch = async ({ documentName }) =>
      this.db.get(selectQuery, { $name: documentName })?.data ?? null
    this.configuration.store = async ({ documentName, state }) => {
      this.db.run(upsertQuery, { $name: documentName, $data: state })
    }
  }

  async onDestroy() {
    this.db.close()
  }
}

/** Makes `file`, with documents `kinds` (kind by name); gives what each of them shows. */
export const make = async (file, kinds) => {
  const server = new Server({
    address: '127.0.0.1',
    port: 0,
    quiet: true,
    stopOnSignals: false,
    extensions: [new Store({ database: file })]
  })
  await server.listen()
  const url = `ws://127.0.0.1:${server.address.port}`
  const shown = await writeAll(Client, url, kinds)
  // It stores what it has not stored yet.
  await server.destroy()
  return shown
}

// A text is cut at a NUL on its way into SQLite here; bytes are not.
const insertQuery = 'INSERT INTO documents (name, data) VALUES (CAST($name AS TEXT), $data)'

/** Puts `rows` of name and data into `file`, which is made if there is none. */
export const put = (file, rows) => {
  const db = new sqlite.Database(file)
  db.exec(schema)
  for (const [name, data] of rows) db.run(insertQuery, { $name: Buffer.from(name), $data: data })
  db.close()
}
