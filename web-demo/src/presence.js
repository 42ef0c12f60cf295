// Who else is here: keeps a tidy list from awareness, draws it, and tells when people come and go.
import { cleanColour, cleanName, initials } from './identity.js'
import { element } from './element.js'

const FACES_MAX = 5

/**
 * Makes what others sent safe before any part of the page draws it (the editor's carets put name
 * and colour into the page as they find them). Must be attached before the editor is.
 */
const clean = (state) => {
  const user = {
    name: cleanName(state.user?.name) ?? 'Anonymous',
    color: cleanColour(state.user?.color)
  }
  user.colorLight = `${user.color}33`
  state.user = user
}

/**
 * Watches `awareness`. `onPick(client)` is called when a face is pressed, `announce(sentence)` when
 * somebody joins or leaves. Gives the list's element.
 */
export const presenceList = (awareness, onPick, announce) => {
  const list = element('ul', { class: 'faces', 'aria-label': 'People here' })
  let known = new Map()

  const show = () => {
    const people = new Map()
    for (const [client, state] of awareness.getStates()) {
      if (client === awareness.clientID || state === null) continue
      people.set(client, state.user)
    }
    tell(known, people, announce)
    if (!isSame(known, people)) list.replaceChildren(...faces(people, onPick))
    known = people
  }
  awareness.on('change', ({ added, updated }) => {
    for (const client of [...added, ...updated]) {
      const state = awareness.getStates().get(client)
      if (state && client !== awareness.clientID) clean(state)
    }
    show()
  })
  return list
}

const isSame = (before, now) =>
  before.size === now.size &&
  [...now].every(([client, user]) => {
    const old = before.get(client)
    return old !== undefined && old.name === user.name && old.color === user.color
  })

const tell = (before, now, announce) => {
  const joined = [...now].filter(([client]) => !before.has(client)).map(([, user]) => user.name)
  const left = [...before].filter(([client]) => !now.has(client)).map(([, user]) => user.name)
  if (joined.length > 0) announce(`${joined.join(', ')} joined.`)
  if (left.length > 0) announce(`${left.join(', ')} left.`)
}

const faces = (people, onPick) => {
  const entries = [...people].sort(([a], [b]) => a - b)
  const shown = entries.length > FACES_MAX ? entries.slice(0, FACES_MAX - 1) : entries
  const rest = entries.slice(shown.length).map(([, user]) => user.name)
  return [
    ...shown.map(([client, user]) =>
      element(
        'li',
        {},
        element(
          'button',
          {
            type: 'button',
            class: 'face',
            style: `--colour: ${user.color}`,
            'aria-label': `${user.name}: go to their place in the text`,
            'data-name': user.name,
            onclick: () => onPick(client)
          },
          initials(user.name)
        )
      )
    ),
    rest.length > 0
      ? element(
          'li',
          {},
          element(
            'span',
            { class: 'face more', title: rest.join(', ') },
            element('span', { 'aria-hidden': 'true' }, `+${rest.length}`),
            element('span', { class: 'hidden' }, `and ${rest.join(', ')}`)
          )
        )
      : null
  ].filter((face) => face !== null)
}
