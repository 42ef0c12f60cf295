// Every stock client of every family, made in one way, for tests that treat all of them alike.
import { serverToken, TOKENS } from '../guarded.mjs'
import * as hocuspocus from './hocuspocus.mjs'
import * as ysweet from './ysweet.mjs'
import * as ywebsocket from './ywebsocket.mjs'

/** What a client is given so that it may do as `access` says, in a `guarded` server. */
const CREDENTIALS = {
  [ywebsocket.FAMILY]: (access) => ({ params: { token: TOKENS[access] ?? 'worthless' } }),
  [hocuspocus.FAMILY]: (access) => ({ token: TOKENS[access] ?? 'worthless' }),
  [ysweet.FAMILY]: (access, server) => ({
    serverToken: serverToken(server),
    authorization: { read: 'read-only', write: 'full' }[access] ?? 'none'
  })
}

const client = ({ FAMILY, Client }, version) => ({
  family: FAMILY,
  version,
  label: `${FAMILY} ${version}`,
  /**
   * A client of `document`, gone when test `t` ends, connected through `via` (a `Proxy`) if there
   * is one. `access` is `read`, `write` or `none`, for a guarded server. It is synced, unless
   * `access` is `none`.
   */
  async connect(t, server, document, { via = server, access, ...rest } = {}) {
    const made = new Client(via.ws, document, {
      version,
      ...(FAMILY === ysweet.FAMILY && { appUrl: server.ws }),
      ...(access && CREDENTIALS[FAMILY](access, server)),
      ...rest
    })
    t.after(() => made.destroy())
    if (access !== 'none') await made.synced()
    return made
  }
})

export const CLIENTS = [
  ...[...ywebsocket.VERSIONS, ywebsocket.NEXT].map((version) => client(ywebsocket, version)),
  ...hocuspocus.VERSIONS.map((version) => client(hocuspocus, version)),
  ...ysweet.VERSIONS.map((version) => client(ysweet, version))
]
