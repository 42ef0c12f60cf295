// How the demo is built: relative addresses (it may be served below a path by a proxy), and the
// licences of everything bundled beside it.
import { readdirSync, readFileSync } from 'node:fs'
import { defineConfig } from 'vite'

/** The licence texts of all packages that the build may contain, in one file of the output. */
const licences = () => ({
  name: 'licences',
  apply: 'build',
  generateBundle() {
    const lock = JSON.parse(readFileSync(new URL('package-lock.json', import.meta.url), 'utf8'))
    const texts = Object.entries(lock.packages)
      .filter(([path, { dev }]) => path !== '' && !dev)
      .map(([path, { version, license }]) => {
        const folder = new URL(`${path}/`, import.meta.url)
        const file = readdirSync(folder).find((name) => /^licen[cs]e/i.test(name))
        const text = file ? readFileSync(new URL(file, folder), 'utf8') : ''
        return `${path.split('node_modules/').at(-1)} ${version} (${license})\n\n${text.trim()}\n`
      })
    this.emitFile({ type: 'asset', fileName: 'licences.txt', source: texts.join('\n\n---\n\n') })
  }
})

export default defineConfig({
  base: './',
  plugins: [licences()],
  build: { target: 'es2022', chunkSizeWarningLimit: 600 }
})
