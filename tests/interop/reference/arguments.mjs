// What the stand-ins in this folder share: Sheaf's command line, its configuration, a free port.
import { readFileSync } from 'node:fs'
import { createServer } from 'node:net'

/** The value of `--name`, if it is there. */
export const flag = (name) => {
  const at = process.argv.indexOf(`--${name}`)
  return at < 0 ? undefined : process.argv[at + 1]
}

/** What the configuration's users may do with `token`; undefined for nobody. */
export const role = (token) => {
  const users = readFileSync(flag('config'), 'utf8').split('[[users]]')
  const user = users.find((text) => text.includes(`token = "${token}"\n`))
  return /role = "(\w+)"/.exec(user)?.[1]
}

/** Host and port of `--listen`; for port 0 one that is free now. */
export const address = async () => {
  const [host, port] = flag('listen').split(':')
  if (port !== '0') return { host, port: Number(port) }
  const probe = createServer()
  await new Promise((resolve) => probe.listen(0, host, resolve))
  const free = probe.address().port
  await new Promise((resolve) => probe.close(resolve))
  return { host, port: free }
}
