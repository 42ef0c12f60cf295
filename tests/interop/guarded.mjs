// A server that asks for tokens, and the tokens.
import { existsSync, readFileSync } from 'node:fs'
import { mkdtemp, rename, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Server } from './server.mjs'

/** Secrets by what they allow. Their users are `reader`, `writer` and `administrator`. */
export const TOKENS = {
  read: 'a-token-that-reads',
  write: 'a-token-that-writes',
  admin: 'a-token-that-administers'
}
const NAMES = { read: 'reader', write: 'writer', admin: 'administrator' }

/** The configuration that lets in the users of these roles. */
export const users = (...roles) =>
  roles
    .map(
      (role) => `[[users]]\nname = "${NAMES[role]}"\ntoken = "${TOKENS[role]}"\nrole = "${role}"\n`
    )
    .join('')

/**
 * A server with a configuration file that `configure` replaces, as an editor does. `env` is added to
 * its environment.
 */
export async function guarded(t, env) {
  const dir = await mkdtemp(join(tmpdir(), 'sheaf-access-'))
  t.after(() => rm(dir, { recursive: true, force: true }))
  const file = join(dir, 'sheaf.toml')
  const configure = async (text) => {
    await writeFile(`${file}.new`, text, { mode: 0o600 })
    await rename(`${file}.new`, file)
  }
  await configure(users('read', 'write', 'admin'))
  const server = await Server.for(t, { args: ['--config', file], env })
  return { server, configure }
}

/** What an app's server shows for Y-Sweet clients; y-sweet itself, in its place, says its own. */
export const serverToken = (server) => {
  const file = join(server.data, 'server-token')
  return existsSync(file) ? readFileSync(file, 'utf8') : TOKENS.admin
}
