// One document on the screen: composes the editor, the people, the connection's state and this
// device's own copy. It holds no logic of theirs.
import { IndexeddbPersistence } from 'y-indexeddb'
import * as Y from 'yjs'
import { documentAddress, openAddress } from './address.js'
import { connect } from './connection.js'
import { element, icon } from './element.js'
import { identityDialog, initials, loadIdentity } from './identity.js'
import { presenceList } from './presence.js'
import { noteOpened } from './recent.js'
import { themeButton } from './theme.js'

// The root that the server takes for a document's text.
const TEXT_ROOT = 'content'

const WORDS = {
  connecting: ['Connecting', 'Connecting to the server…'],
  syncing: ['Syncing', 'Connected. Fetching what others wrote…'],
  live: ['Live', 'Connected, and in step with the server.'],
  offline: [
    'Offline',
    'The server can’t be reached. Keep writing: edits stay on this device and are sent later.'
  ],
  paused: ['Offline', 'Working offline by choice. Edits stay on this device until you go online.'],
  closed: ['Closed', 'The server closed this document.']
}
const EMPTY = {
  connecting: 'Opening…',
  syncing: 'Opening…',
  live: 'This document is empty. Start writing: everyone who has it open sees each letter.',
  offline: 'This device holds no copy of the document. You may write: it joins the rest later.',
  paused: 'This device holds no copy of the document. You may write: it joins the rest later.',
  closed: ''
}

/** Opens the document called `name` in `app`. */
export const showDocument = async (app, name) => {
  document.title = `${name} · Sheaf`
  noteOpened(name)
  const doc = new Y.Doc()
  const page = layout(name)
  app.replaceChildren(...page.parts)

  keepOnDevice(name, doc, page)
  const link = connect(name, doc, (state, reason) => showState(page, state, reason))
  page.state.addEventListener('click', () => (link.isPaused() ? link.resume() : link.pause()))
  page.retry.addEventListener('click', () => {
    link.resume()
    page.editor?.focus()
  })
  identify(page, link.awareness)
  const people = presenceList(
    link.awareness,
    (client) => {
      if (!page.editor?.goTo(client))
        page.announce('That person has no caret in the text right now.')
    },
    page.announce
  )
  page.people.prepend(people)

  const { openEditor } = await import('./editor.js')
  page.sheet.replaceChildren()
  page.editor = openEditor({
    parent: page.sheet,
    text: doc.getText(TEXT_ROOT),
    awareness: link.awareness,
    empty: page.empty,
    describedBy: 'leave-hint',
    onText: countWords(page.count)
  })
  page.editor.focus()
}

const layout = (name) => {
  const page = { editor: null }
  page.people = element('div', { class: 'people' })
  page.state = element(
    'button',
    { type: 'button', class: 'state', 'aria-describedby': 'state-text' },
    element('span', { class: 'dot' }),
    element('span', { class: 'state-word' })
  )
  page.sentence = element('p', { id: 'state-text', class: 'sentence', role: 'status' })
  page.news = element('p', { class: 'hidden', 'aria-live': 'polite' })
  page.announce = (sentence) => {
    page.news.textContent = sentence
  }
  page.count = element('span', { class: 'count' })
  page.empty = element('span', { class: 'empty-text' }, EMPTY.connecting)
  page.sheet = element(
    'div',
    { class: 'sheet' },
    element('p', { class: 'empty-text waiting' }, 'Opening…')
  )
  page.retry = element('button', { type: 'button', class: 'primary' }, 'Try again')
  page.problem = element('p', {})
  page.banner = element(
    'div',
    { class: 'banner', role: 'alert', hidden: true },
    page.problem,
    page.retry
  )
  page.note = element('p', { class: 'banner note', role: 'status', hidden: true })
  page.parts = [
    element(
      'a',
      {
        class: 'skip',
        href: '#text',
        onclick: (event) => {
          event.preventDefault()
          page.editor?.focus()
        }
      },
      'Skip to the text'
    ),
    element(
      'header',
      { class: 'bar' },
      element(
        'a',
        { class: 'home', href: openAddress(null), 'aria-label': 'Sheaf: all documents' },
        icon('sheaf')
      ),
      element('h1', { title: name }, name),
      page.people,
      page.state,
      copyButton(name, page.announce),
      themeButton()
    ),
    page.banner,
    page.note,
    element('main', { id: 'text' }, page.sheet),
    element(
      'footer',
      { class: 'foot' },
      page.sentence,
      element(
        'p',
        { id: 'leave-hint', class: 'keys' },
        element('kbd', {}, 'Tab'),
        ' indents; ',
        element('kbd', {}, 'Esc'),
        ' then ',
        element('kbd', {}, 'Tab'),
        ' leaves the text'
      ),
      page.count
    ),
    page.news
  ]
  return page
}

const showState = (page, state, reason) => {
  const [word, sentence] = WORDS[state]
  page.state.dataset.state = state
  page.state.querySelector('.state-word').textContent = word
  page.state.setAttribute(
    'aria-label',
    state === 'paused' ? `${word}. Go online` : `${word}. Work offline`
  )
  page.state.title = state === 'paused' ? 'Go online' : 'Work offline'
  page.state.disabled = state === 'closed'
  page.sentence.textContent = sentence
  page.empty.textContent = EMPTY[state]
  page.banner.hidden = state !== 'closed'
  page.problem.textContent = reason === null ? '' : `${reason} What you wrote stays on this device.`
}

/** Keeps the document in this browser, or says that it can't. */
const keepOnDevice = (name, doc, page) => {
  const refuse = () => {
    page.note.textContent =
      'This browser keeps no offline copy: edits made while the server is away are lost on reload.'
    page.note.hidden = false
  }
  try {
    const copy = new IndexeddbPersistence(
      `sheaf/${new URL('.', location.href).pathname}${name}`,
      doc
    )
    copy._db.catch(refuse)
  } catch {
    refuse()
  }
}

const identify = (page, awareness) => {
  let me = loadIdentity()
  const face = element('button', { type: 'button', class: 'face own' })
  const show = () => {
    awareness.setLocalStateField('user', { ...me, colorLight: `${me.color}33` })
    face.textContent = initials(me.name)
    face.style.setProperty('--colour', me.color)
    face.setAttribute('aria-label', `You are ${me.name}. Change your name and colour`)
    face.title = `${me.name} (you)`
  }
  const { dialog, open } = identityDialog(
    () => me,
    // A caret keeps the label it was drawn with: taking it away makes the others draw a new one.
    () => awareness.setLocalStateField('cursor', null),
    (changed) => {
      me = changed
      show()
      page.announce(`You are ${me.name} now.`)
    }
  )
  face.addEventListener('click', open)
  page.people.append(face, dialog)
  show()
}

const copyButton = (name, announce) => {
  const button = element(
    'button',
    { type: 'button', class: 'quiet copy' },
    icon('link'),
    element('span', {}, 'Copy link')
  )
  button.addEventListener('click', async () => {
    try {
      await navigator.clipboard.writeText(documentAddress(name))
      button.replaceChildren(icon('check'), element('span', {}, 'Copied'))
      announce('Link copied.')
      setTimeout(() => button.replaceChildren(icon('link'), element('span', {}, 'Copy link')), 1800)
    } catch {
      prompt('Copy this address:', documentAddress(name))
    }
  })
  return button
}

/** Counts at most a few times a second: a long text is not walked at every letter. */
const countWords = (place) => {
  const WAIT_MS = 250
  let latest = null
  let waiting = null
  const show = () => {
    waiting = null
    const words = latest.toString().match(/[\p{L}\p{N}][\p{L}\p{N}\p{M}'’_-]*/gu)?.length ?? 0
    place.textContent = `${words.toLocaleString('en')} ${words === 1 ? 'word' : 'words'}`
  }
  return (text) => {
    latest = text
    waiting ??= setTimeout(show, WAIT_MS)
  }
}
