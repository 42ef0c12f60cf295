// The first page: a name to open, the documents opened before, and how to connect from code.
import { nameProblem, openAddress, serverAddress } from './address.js'
import { element, icon } from './element.js'
import { forget, recentDocuments, timeAgo } from './recent.js'
import { themeButton } from './theme.js'

/** Shows the page in `app`; `name` fills the field, `problem` says why it could not be opened. */
export const showLanding = (app, name, problem) => {
  document.title = 'Sheaf'
  app.replaceChildren(
    element('header', { class: 'landing-bar' }, themeButton()),
    element(
      'main',
      { class: 'landing' },
      element(
        'div',
        { class: 'hero' },
        element('div', { class: 'mark' }, icon('sheaf')),
        element('h1', {}, 'Sheaf'),
        element(
          'p',
          { class: 'lead' },
          'Open a document by name. Everyone who opens the same name writes in it with you.'
        )
      ),
      openForm(name, problem),
      recentSection(),
      codeSection()
    )
  )
  const field = app.querySelector('#doc')
  field.focus()
  field.select()
}

const openForm = (name, problem) => {
  const error = element(
    'p',
    { id: 'doc-error', class: 'field-error', role: 'alert' },
    problem ?? ''
  )
  const field = element('input', {
    id: 'doc',
    name: 'doc',
    value: name,
    placeholder: 'meeting-notes',
    autocomplete: 'off',
    autocapitalize: 'none',
    spellcheck: 'false',
    enterkeyhint: 'go',
    'aria-describedby': 'doc-error doc-hint',
    'aria-invalid': String(problem !== null)
  })
  const open = (event) => {
    event.preventDefault()
    const wanted = field.value.trim()
    const found = nameProblem(wanted)
    error.textContent = found ?? ''
    field.setAttribute('aria-invalid', String(found !== null))
    if (found === null) location.assign(openAddress(wanted))
    else field.focus()
  }
  return element(
    'form',
    { class: 'open', onsubmit: open },
    element('label', { for: 'doc' }, 'Document name'),
    element(
      'div',
      { class: 'open-row' },
      field,
      element('button', { type: 'submit', class: 'primary' }, 'Open', icon('arrow'))
    ),
    error,
    element(
      'p',
      { id: 'doc-hint', class: 'hint' },
      'A new name makes a new, empty document. Slashes make folders, as in “work/plans”.'
    )
  )
}

const recentSection = () => {
  const section = element('section', { class: 'recent', 'aria-labelledby': 'recent-title' })
  const show = () => {
    const entries = recentDocuments()
    section.replaceChildren(
      element('h2', { id: 'recent-title', tabindex: '-1' }, 'Recent on this device'),
      entries.length === 0
        ? element(
            'p',
            { class: 'empty' },
            'Nothing yet. What you open here is listed here, and only here.'
          )
        : element(
            'ul',
            {},
            entries.map((entry) =>
              recentRow(entry, () => {
                show()
                section.querySelector('#recent-title').focus()
              })
            )
          )
    )
  }
  show()
  return section
}

const recentRow = ({ name, at }, gone) =>
  element(
    'li',
    {},
    element(
      'a',
      { href: openAddress(name) },
      element('span', { class: 'recent-name' }, name),
      element('span', { class: 'recent-time' }, timeAgo(at))
    ),
    element(
      'button',
      {
        type: 'button',
        class: 'quiet square',
        'aria-label': `Take ${name} off this list`,
        title: 'Take off this list (the document stays)',
        onclick: () => {
          forget(name)
          gone()
        }
      },
      icon('cross')
    )
  )

const codeSection = () =>
  element(
    'details',
    { class: 'code' },
    element('summary', {}, 'Connect your own editor'),
    element('p', {}, 'Any stock y-websocket client joins the same documents:'),
    element(
      'pre',
      { tabindex: '0' },
      element(
        'code',
        {},
        "import * as Y from 'yjs'\n" +
          "import { WebsocketProvider } from 'y-websocket'\n\n" +
          'const doc = new Y.Doc()\n' +
          `new WebsocketProvider('${serverAddress()}', 'meeting-notes', doc)\n` +
          "doc.getText('content').insert(0, 'Hello')"
      )
    )
  )
