// The demo in real headless Chromium, served by the real server.
import assert from 'node:assert/strict'
import { mkdir } from 'node:fs/promises'
import { after, before, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { launch } from '../interop/chromium.mjs'
import { newRoom } from '../interop/families/replica.mjs'
import { Client } from '../interop/families/ywebsocket.mjs'
import { Server } from '../interop/server.mjs'
import { DemoPage } from './demo-page.mjs'

const OUT = fileURLToPath(new URL('../interop/out/', import.meta.url))

let browser
before(async () => {
  await mkdir(OUT, { recursive: true })
  browser = await launch()
})
after(() => browser.close())

test('two tabs type at once, converge, and see each other', async (t) => {
  const server = await Server.for(t)
  const room = newRoom('two tabs/ä')
  const ann = await DemoPage.open(t, browser, { name: 'Ann Light' })
  const ben = await DemoPage.open(t, browser, {
    name: 'Ben Dark',
    colour: '#b5472e',
    colorScheme: 'dark'
  })
  await ann.visit(server.http, room)
  await ann.write('# Together\n\n')
  await ben.visit(server.http, room)
  await ben.has('# Together\n\n')
  await Promise.all([
    ann.write('Ann types one long sentence.'),
    ben.write('Ben types another one.')
  ])
  const reader = await Client.for(t, server.ws, encodeURIComponent(room))
  const length = '# Together\n\nAnn types one long sentence.Ben types another one.'.length
  assert.equal(reader.string.length, length)
  await ann.has(reader.string)
  await ben.has(reader.string)
  await Promise.all([
    ann.caret('Ben Dark'),
    ben.caret('Ann Light'),
    ann.face('Ben Dark'),
    ben.face('Ann Light')
  ])
  await ann.page.screenshot({ path: `${OUT}demo-light.png` })
  await ben.page.screenshot({ path: `${OUT}demo-dark.png` })
  await ben.page.close()
  await ann.page.waitForSelector('.faces .face[data-name="Ben Dark"]', { state: 'detached' })
  assert.deepEqual([...ann.errors, ...ben.errors], [])
})

test('what is written offline outlives a reload and arrives once the tab is online', async (t) => {
  const server = await Server.for(t)
  const room = newRoom()
  const ann = await DemoPage.open(t, browser, { name: 'Ann' })
  const ben = await Client.for(t, server.ws, room)
  await ann.visit(server.http, room)
  await ann.write('online. ')
  await ben.has('online. ')
  await ann.page.getByRole('button', { name: 'Work offline' }).click()
  await ann.is('paused')
  await ann.write('offline. ')
  ben.text.insert(0, 'meanwhile. ')
  await ann.has('online. offline. ')
  await ann.kept()
  await ann.visit(server.http, room, 'paused')
  await ann.has('online. offline. ')
  assert.equal(ben.string, 'meanwhile. online. ')
  await ann.page.getByRole('button', { name: 'Go online' }).click()
  await ann.is('live')
  await ann.has('meanwhile. online. offline. ')
  await ben.has('meanwhile. online. offline. ')
})

test('the server is killed and started again while both write', async (t) => {
  const server = await Server.for(t)
  const room = newRoom()
  const ann = await DemoPage.open(t, browser, { name: 'Ann' })
  const ben = await DemoPage.open(t, browser, { name: 'Ben' })
  await ann.visit(server.http, room)
  await ben.visit(server.http, room)
  await ann.write('before, ')
  await ben.has('before, ')
  await server.kill()
  await ann.is('offline')
  await ann.write('during, ')
  await server.restart()
  await ann.is('live')
  await ben.has('before, during, ')
  await ben.write('after')
  await ann.has('before, during, after')
  await Promise.all([ann.face('Ben'), ben.face('Ann')])
  const late = await DemoPage.open(t, browser)
  await late.visit(server.http, room)
  await late.has('before, during, after')
})

test('a document is opened, written and left by keyboard alone', async (t) => {
  const server = await Server.for(t)
  const demo = await DemoPage.open(t, browser, { name: 'Ann' })
  const { page } = demo
  await page.goto(server.http)
  await page.waitForSelector('#doc')
  assert.match(await demo.focused(), /^input#doc/)
  await page.keyboard.type('../etc')
  await page.keyboard.press('Enter')
  await page.waitForSelector('#doc-error:not(:empty)')
  assert.match(await demo.focused(), /^input#doc/)
  await page.keyboard.press('Control+A')
  await page.keyboard.type('by/keyboard')
  await page.keyboard.press('Enter')
  await demo.is('live')
  await page.waitForSelector('.cm-editor.cm-focused')
  await page.keyboard.type('- one')
  await page.keyboard.press('Tab')
  await demo.has('  - one')
  await page.keyboard.press('Escape')
  await page.keyboard.press('Shift+Tab')
  await page.waitForSelector('.cm-editor:not(.cm-focused)')
  const seen = new Set()
  for (let step = 0; step < 12; step++) {
    seen.add(await demo.focused())
    await page.keyboard.press('Shift+Tab')
  }
  for (const stop of [
    'a.skip',
    'a.home',
    'button.face.own',
    'button.state',
    'button.quiet.copy',
    'button.quiet.square'
  ]) {
    assert.ok(seen.has(stop), `${stop} is not among ${[...seen]}`)
  }
  await page.locator('a.skip').focus()
  await page.keyboard.press('Enter')
  await page.waitForSelector('.cm-editor.cm-focused')
  await page.goto(server.http)
  await page.waitForSelector('.recent a:has-text("by/keyboard")')
  await page.screenshot({ path: `${OUT}demo-landing.png` })
})

test('dark follows the system, and a choice is kept over reloads', async (t) => {
  const server = await Server.for(t)
  const demo = await DemoPage.open(t, browser, { colorScheme: 'dark' })
  await demo.page.goto(server.http)
  assert.ok((await demo.brightness()) < 60)
  await demo.page.getByRole('button', { name: 'Switch to light colours' }).click()
  assert.ok((await demo.brightness()) > 220)
  await demo.page.reload()
  assert.ok((await demo.brightness()) > 220)
  await demo.page.emulateMedia({ colorScheme: 'light' })
  await demo.page.getByRole('button', { name: 'Switch to dark colours' }).click()
  assert.ok((await demo.brightness()) < 60)
})

test('a new name is on the caret at once and stays over reloads', async (t) => {
  const server = await Server.for(t)
  const room = newRoom()
  const ann = await DemoPage.open(t, browser, { name: 'Ann' })
  const ben = await DemoPage.open(t, browser, { name: 'Ben' })
  await ann.visit(server.http, room)
  await ben.visit(server.http, room)
  await ann.write('x')
  await ben.caret('Ann')
  await ann.page.getByRole('button', { name: 'Change your name' }).click()
  await ann.page.getByRole('textbox', { name: 'Your name' }).fill('Annette')
  await ann.page.keyboard.press('Enter')
  await ann.page.locator('.cm-content').focus()
  await ben.caret('Annette')
  await ann.visit(server.http, room)
  await ben.face('Annette')
})

test('what others send as their name and colour can not change the page', async (t) => {
  const server = await Server.for(t)
  const room = newRoom()
  const demo = await DemoPage.open(t, browser, { name: 'Ann' })
  await demo.visit(server.http, room)
  const rude = await Client.for(t, server.ws, room)
  rude.awareness.setLocalState({
    user: {
      name: ' <img src=x>\n\u202Eeve '.repeat(20),
      color: 'red; position: fixed; inset: 0',
      colorLight: 'url(//x)'
    }
  })
  const face = await demo.page.waitForSelector('.faces .face')
  assert.match(await face.getAttribute('style'), /^--colour: #[0-9a-f]{6}$/)
  assert.ok([...(await face.getAttribute('data-name'))].length <= 40)
  rude.awareness.setLocalState({ user: 'nobody' })
  await demo.face('Anonymous')
  rude.awareness.setLocalState({})
  await demo.write('still fine')
  await rude.has('still fine')
  assert.deepEqual(demo.errors, [])
})

test('a close for good says why and offers another try', async (t) => {
  const server = await Server.for(t)
  const room = newRoom()
  const demo = await DemoPage.open(t, browser, { name: 'Ann' })
  let refused = false
  await demo.page.routeWebSocket(new RegExp(room), (socket) => {
    if (refused) {
      socket.connectToServer()
    } else {
      refused = true
      socket.close({ code: 4403, reason: 'forbidden' })
    }
  })
  await demo.visit(server.http, room, 'closed')
  const banner = demo.page.getByRole('alert')
  assert.match(await banner.textContent(), /not allowed.*4403: forbidden.*stays on this device/)
  await demo.page.screenshot({ path: `${OUT}demo-closed.png` })
  await demo.page.getByRole('button', { name: 'Try again' }).click()
  await demo.is('live')
  assert.equal(await banner.isVisible(), false)
})
