// The system's Chromium for the browser tests. `node chromium.mjs` prints its path, or ends with 1.
import { execFileSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { chromium } from 'playwright-core'

const NAMES = ['chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable']

/** The path of CHROMIUM or of the first browser found; null if there is none. */
export const findChromium = () => {
  if (process.env.CHROMIUM) return process.env.CHROMIUM
  for (const name of NAMES) {
    try {
      return execFileSync('sh', ['-c', `command -v ${name}`], { encoding: 'utf8' }).trim()
    } catch {
      /* the next one */
    }
  }
  return null
}

/** A headless browser. Nothing in it talks to the outside: a test machine may have no network. */
export const launch = () =>
  chromium.launch({
    executablePath: findChromium(),
    args: [
      '--no-sandbox',
      '--disable-gpu',
      '--disable-quic',
      '--no-first-run',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync'
    ]
  })

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const path = findChromium()
  if (path === null) process.exit(1)
  console.log(path)
}
