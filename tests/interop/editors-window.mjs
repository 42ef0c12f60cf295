// A window for editors in Node: jsdom, and what editors ask of a browser that jsdom has not, since
// it lays nothing out. Also teaches Node to load Monaco, which is written for bundlers. To be
// imported before any editor.
import { register } from 'node:module'
import { JSDOM } from 'jsdom'

const dom = new JSDOM('<!doctype html><body></body>', {
  url: 'http://localhost/',
  pretendToBeVisual: true
})
const { window } = dom

window.matchMedia = () => ({ matches: false, addListener() {}, addEventListener() {} })
window.document.queryCommandSupported = () => false
window.Range.prototype.getClientRects = () => []
window.Range.prototype.getBoundingClientRect = () => new window.DOMRect()
window.document.elementFromPoint = () => null
// Whatever is drawn is drawn on nothing.
const canvas = { measureText: () => ({ width: 8 }), webkitBackingStorePixelRatio: 1 }
window.HTMLCanvasElement.prototype.getContext = () =>
  new Proxy(canvas, { get: (own, name) => own[name] ?? (() => {}) })
window.ResizeObserver = class {
  observe() {}
  unobserve() {}
  disconnect() {}
}

// What stands in both is Node's own, but events are the window's: its nodes take no others.
for (const name of Object.getOwnPropertyNames(window)) {
  const isEvent = name === 'Event' || name.endsWith('Event')
  if (name in globalThis && !isEvent && name !== 'navigator') continue
  Object.defineProperty(globalThis, name, {
    value: window[name],
    configurable: true,
    writable: true
  })
}
for (const name of ['addEventListener', 'removeEventListener', 'dispatchEvent']) {
  globalThis[name] = window[name].bind(window)
}
globalThis.window = window

/** An element of its own in the window's page. */
export const place = () => window.document.body.appendChild(window.document.createElement('div'))

/** Whatever Monaco imports is a module, by a name that may lack its end, or a style sheet. */
const loader = `
const isMonaco = (url) => url?.includes('/node_modules/monaco-editor/')
export const resolve = (name, context, next) =>
  next(isMonaco(context.parentURL) && !/\\.(js|css)$/.test(name) ? name + '.js' : name, context)
export const load = (url, context, next) => {
  if (!isMonaco(url)) return next(url, context)
  if (url.endsWith('.css')) return { format: 'module', source: '', shortCircuit: true }
  return next(url, { ...context, format: 'module' })
}`
register(`data:text/javascript,${encodeURIComponent(loader)}`)
