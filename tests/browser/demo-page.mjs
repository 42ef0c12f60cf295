// The demo in a tab of its own browser profile, with the words a test uses for it.
import { until } from '../interop/until.mjs'

const VIEW = { width: 1100, height: 720 }
const DEADLINE_MS = 15_000

export class DemoPage {
  /** A tab with its own storage. `name` is who sits at it; `options` go to the browser context. */
  static async open(t, browser, { name = null, colour = '#0f7a70', ...options } = {}) {
    const context = await browser.newContext({ viewport: VIEW, ...options })
    t?.after(() => context.close())
    context.setDefaultTimeout(DEADLINE_MS)
    if (name !== null) {
      await context.addInitScript(
        ([key, identity]) => {
          if (localStorage.getItem(key) === null) localStorage.setItem(key, identity)
        },
        ['sheaf-identity', JSON.stringify({ name, color: colour })]
      )
    }
    const demo = new DemoPage(await context.newPage())
    demo.page.on('pageerror', (error) => demo.errors.push(error.message))
    return demo
  }

  constructor(page) {
    this.page = page
    this.errors = []
  }

  /** Opens `room` and waits until the connection's state is `state`. */
  async visit(http, room, state = 'live') {
    await this.page.goto(`${http}/?doc=${encodeURIComponent(room)}`)
    await this.page.waitForSelector('.cm-content')
    await this.is(state)
  }

  is(state) {
    return this.page.waitForSelector(`.state[data-state=${state}]`)
  }

  async write(text) {
    await this.page.locator('.cm-content').focus()
    await this.page.keyboard.press('Control+End')
    await this.page.keyboard.type(text)
  }

  /** The text as it stands in the editor, without the carets of the others. */
  text() {
    return this.page.evaluate(() =>
      [...document.querySelectorAll('.cm-line')]
        .map((line) => {
          const copy = line.cloneNode(true)
          copy
            .querySelectorAll('.cm-ySelectionCaret, .cm-placeholder')
            .forEach((caret) => caret.remove())
          return copy.textContent
        })
        .join('\n')
    )
  }

  async has(expected) {
    let seen = null
    let asking = false
    await until(
      () => {
        if (!asking) {
          asking = true
          this.text().then((text) => {
            seen = text
            asking = false
          })
        }
        return seen === expected
      },
      () => `${JSON.stringify(expected)} in the page, which has ${JSON.stringify(seen)}`
    )
  }

  /** Resolves when the browser's own copy has all that was written: a transaction of ours comes after
   * those of the page. A reload before that may lose the last keys. */
  kept() {
    return this.page.evaluate(async () => {
      for (const { name } of await indexedDB.databases()) {
        await new Promise((resolve, reject) => {
          const opening = indexedDB.open(name)
          opening.onerror = () => reject(opening.error)
          opening.onsuccess = () => {
            const database = opening.result
            const transaction = database.transaction(database.objectStoreNames, 'readwrite')
            transaction.onabort = () => reject(transaction.error)
            transaction.oncomplete = () => {
              database.close()
              resolve()
            }
          }
        })
      }
    })
  }

  /** The name on another's caret. */
  caret(name) {
    return this.page.waitForSelector(`.cm-ySelectionInfo:text-is("${name}")`)
  }

  /** The face of `name` in the list of people. */
  face(name) {
    return this.page.waitForSelector(`.faces .face[data-name="${name}"]`)
  }

  focused() {
    return this.page.evaluate(() => {
      const { className, id, tagName } = document.activeElement
      const classes = className.split(' ').filter(Boolean)
      return [tagName.toLowerCase() + (id && `#${id}`), ...classes].join('.')
    })
  }

  /** The page's background as the eye gets it, 0 (black) to 255. */
  async brightness() {
    const shot = await this.page.evaluate(() => {
      const canvas = document.createElement('canvas').getContext('2d')
      canvas.fillStyle = getComputedStyle(document.body).backgroundColor
      canvas.fillRect(0, 0, 1, 1)
      return [...canvas.getImageData(0, 0, 1, 1).data]
    })
    return (shot[0] + shot[1] + shot[2]) / 3
  }
}
