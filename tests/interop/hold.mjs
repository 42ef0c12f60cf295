// A server whose disk is slow on demand: no `fsync` and no `fdatasync` of it returns while they are
// held. A shim before libc does it, so what is tested is the binary as it is built. Linux only.
import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { Server } from './server.mjs'
import { until } from './until.mjs'

const path = (name) => fileURLToPath(new URL(name, import.meta.url))
const SHIM = path(`out/hold-sync-${process.pid}.so`)

let built = null
const build = async () => {
  await mkdir(path('out'), { recursive: true })
  const args = ['-shared', '-fPIC', '-O', '-o', SHIM, path('hold-sync.c'), '-ldl']
  await promisify(execFile)('cc', args)
}

/** A server, and what holds back its syncs; both are gone when test `t` ends. */
export async function held(t, options) {
  await (built ??= build())
  const dir = await mkdtemp(join(tmpdir(), 'sheaf-hold-'))
  const file = join(dir, 'hold')
  const server = await Server.for(t, { ...options, env: { LD_PRELOAD: SHIM, SYNC_HOLD: file } })
  t.after(() => rm(dir, { recursive: true, force: true }))
  return {
    server,
    /** From here on nothing becomes durable. */
    hold: () => writeFile(file, ''),
    /** Waits until something is written whose sync is being held. */
    isHeld: () => until(() => existsSync(`${file}.waiting`), 'a sync that is held'),
    async release() {
      await rm(file)
      await rm(`${file}.waiting`, { force: true })
    }
  }
}

/** For the end of a test file that used `held`. */
export const discardShim = () => rm(SHIM, { force: true })
