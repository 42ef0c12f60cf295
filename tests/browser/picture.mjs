// Draws docs/images/demo.png: two people in one document, light and dark. `node picture.mjs FILE`.
import { launch } from '../interop/chromium.mjs'
import { Server } from '../interop/server.mjs'
import { DemoPage } from './demo-page.mjs'

const FILE = process.argv[2]
const ROOM = 'garden/spring plan'
const WINDOW = { width: 640, height: 580 }
const TEXT = `# Spring plan

We meet on **Saturday at nine** by the old shed. Bring gloves and, if you have one, a *good* spade.

## Beds

- Turn the compost before anything else
- Beans along the south wall, peas below
- Order seed: \`Phaseolus coccineus\`

> Last year the frost came back on 12 May.
`

const server = await Server.start()
const browser = await launch()
try {
  const ann = await DemoPage.open(null, browser, { name: 'Ann Wheatley', viewport: WINDOW })
  const ben = await DemoPage.open(null, browser, {
    name: 'Ben Straw',
    colour: '#b5472e',
    viewport: WINDOW,
    colorScheme: 'dark'
  })
  await ann.visit(server.http, ROOM)
  await ben.visit(server.http, ROOM)
  await ann.page.keyboard.insertText(TEXT)
  await ben.has(TEXT)
  await ben.page.getByText('Bring gloves').click()
  await ben.page.keyboard.press('Control+Home')
  for (const key of ['ArrowDown', 'ArrowDown', 'ArrowDown', 'End'])
    await ben.page.keyboard.press(key)
  await ben.page.keyboard.type(' Tea at eleven.')
  await ann.page.getByText('peas below').click()
  await ann.page.keyboard.press('End')
  await ann.page.keyboard.type(' them')
  await ben.caret('Ann Wheatley')
  await ann.caret('Ben Straw')
  const shots = await Promise.all([ann, ben].map(({ page }) => page.screenshot()))

  const sheet = await (
    await browser.newContext({ viewport: { width: 1240, height: 700 } })
  ).newPage()
  const windows = shots.map(
    (shot) => `<img src="data:image/png;base64,${shot.toString('base64')}">`
  )
  await sheet.setContent(`<style>
    body { margin: 0; height: 700px; background: #e9e4d8; position: relative; overflow: hidden; }
    img { position: absolute; width: 640px; border-radius: 10px; box-shadow: 0 0 0 1px #0002; }
    img:first-of-type { left: 22px; top: 30px; }
    img:last-of-type { left: 580px; top: 90px; }
    img:last-of-type { box-shadow: 0 0 0 1px #0004, -14px 14px 0 #0000000f; }
    </style>${windows.join('')}`)
  await sheet.waitForFunction(() => [...document.images].every((image) => image.complete))
  await sheet.screenshot({ path: FILE })
} finally {
  await browser.close()
  await server.discard()
}
