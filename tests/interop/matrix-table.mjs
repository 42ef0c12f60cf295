// The client matrix as a table, made of `out/matrix.json` that `matrix.test.mjs` writes:
//   node matrix-table.mjs           puts it into the README, between its markers
//   node matrix-table.mjs --check   ends with 1 if another table stands there
import { readFileSync, writeFileSync } from 'node:fs'

const README = new URL('../../README.md', import.meta.url)
const OUTCOME = new URL('out/matrix.json', import.meta.url)
const [BEGIN, END] = ['<!-- client matrix: begin -->\n', '<!-- client matrix: end -->']

/** Passed, failed, or nothing of the kind. */
const SIGNS = new Map([
  [true, '✓'],
  [false, '✗'],
  [null, '–']
])
const PACKAGES = {
  'y-websocket': (version) => (version.startsWith('4') ? '`@y/websocket`' : '`y-websocket`'),
  hocuspocus: () => '`@hocuspocus/provider`',
  'y-sweet': () => '`@y-sweet/client`'
}

const table = ({ columns, clients }) => {
  const row = (cells) => `| ${cells.join(' | ')} |\n`
  return [
    row(['client', 'version', ...columns]),
    `|---|---|${':-:|'.repeat(columns.length)}\n`,
    ...clients.map(({ family, version, columns: outcome }) => {
      // What did not run did not pass.
      const signs = columns.map((name) => SIGNS.get(name in outcome ? outcome[name] : false))
      return row([PACKAGES[family](version), version, ...signs])
    })
  ].join('')
}

const made = table(JSON.parse(readFileSync(OUTCOME, 'utf8')))
const readme = readFileSync(README, 'utf8')
const [start, end] = [readme.indexOf(BEGIN), readme.indexOf(END)]
if (start < 0 || end < start) throw new Error('the README has no place for the client matrix')
const updated = readme.slice(0, start + BEGIN.length) + made + readme.slice(end)
if (!process.argv.includes('--check')) writeFileSync(README, updated)
else if (updated !== readme) {
  console.error(`the README's client matrix is not that of the last run, which is:\n${made}`)
  process.exitCode = 1
} else console.log('The table stands in the README as the last run made it.')
