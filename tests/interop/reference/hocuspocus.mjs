#!/usr/bin/env node
// Hocuspocus itself behind Sheaf's command line, to see whether a test asks of Sheaf what the
// original does:
//   BIN_SHEAF=$PWD/reference/hocuspocus.mjs PACKAGES=../../loadtest/peers node --test FILE
// PACKAGES is a folder with `@hocuspocus/server` (2, 3 or 4) in its `node_modules`. Documents are
// kept at each change, so that they survive `kill -9`. Run by hand; no test run needs it.
import { existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join, resolve } from 'node:path'
import { address, flag, role } from './arguments.mjs'

const require = createRequire(join(resolve(process.env.PACKAGES), 'package.json'))
const { Server } = require('@hocuspocus/server')
const Y = require('yjs')

const { host, port } = await address()
const fileOf = (name) => join(flag('data'), encodeURIComponent(name))

const hooks = {
  async onLoadDocument({ documentName, document }) {
    const file = fileOf(documentName)
    if (existsSync(file)) Y.applyUpdate(document, readFileSync(file))
  },
  async onChange({ documentName, document }) {
    writeFileSync(`${fileOf(documentName)}.new`, Y.encodeStateAsUpdate(document))
    renameSync(`${fileOf(documentName)}.new`, fileOf(documentName))
  },
  async onStateless({ payload, document }) {
    document.broadcastStateless(payload)
  }
}
if (flag('config')) {
  hooks.onAuthenticate = async ({ token, connectionConfig, connection }) => {
    const may = role(token)
    if (!may) throw new Error('permission-denied')
    ;(connectionConfig ?? connection).readOnly = may === 'read'
  }
}

const settings = { address: host, port, quiet: true, ...hooks }
const server = Server.configure ? Server.configure(settings) : new Server(settings)
await server.listen()
console.log(`http://${host}:${port}`)
