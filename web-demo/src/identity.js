// Who I am to the others: a name and a colour, made up at the first visit, editable, remembered.
import { element } from './element.js'
import { remember, remembered } from './memory.js'

const KEY = 'sheaf-identity'
const NAME_CHARACTERS_MAX = 40

// White text is readable on each (at least 4.5:1), and each stands out from both backgrounds.
const COLOURS = {
  Clay: '#b5472e',
  Ochre: '#8f6410',
  Moss: '#4a7a2c',
  Teal: '#0f7a70',
  Sky: '#2a71b0',
  Iris: '#6259cf',
  Plum: '#8f4a9f',
  Rose: '#b93a6c'
}
const QUALITIES = ['Quiet', 'Brisk', 'Amber', 'Gentle', 'Bright', 'Early', 'Wandering', 'Merry']
const CREATURES = ['Heron', 'Otter', 'Finch', 'Marten', 'Hare', 'Wren', 'Lynx', 'Plover']

const pick = (list) => list[crypto.getRandomValues(new Uint32Array(1))[0] % list.length]

/** A name that can be shown: one line, trimmed, bounded; null if nothing is left. */
export const cleanName = (name) => {
  if (typeof name !== 'string') return null
  const line = name.replace(/[\p{Cc}\p{Cf}\s]+/gu, ' ').trim()
  return line === '' ? null : [...line].slice(0, NAME_CHARACTERS_MAX).join('')
}

/** A colour that can go into a style: other people send these. */
export const cleanColour = (colour) =>
  typeof colour === 'string' && /^#[0-9a-f]{6}$/i.test(colour) ? colour : '#6b6f76'

/** The remembered identity, or a new one. */
export const loadIdentity = () => {
  const kept = remembered(KEY, null)
  const identity = {
    name: cleanName(kept?.name) ?? `${pick(QUALITIES)} ${pick(CREATURES)}`,
    color: Object.values(COLOURS).includes(kept?.color) ? kept.color : pick(Object.values(COLOURS))
  }
  remember(KEY, identity)
  return identity
}

/** Up to two letters that stand for `name`. */
export const initials = (name) => {
  const words = name.split(/\s+/)
  return [words[0], words.length > 1 ? words.at(-1) : '']
    .map((word) => [...word][0] ?? '')
    .join('')
    .toUpperCase()
}

/**
 * The dialog that changes name and colour. `opened()` is called as it opens, `changed(identity)`
 * when something was saved. Escape and a press outside close it without saving.
 */
export const identityDialog = (load, opened, changed) => {
  const field = element('input', {
    id: 'own-name',
    maxlength: String(NAME_CHARACTERS_MAX),
    autocomplete: 'nickname',
    required: true
  })
  const swatches = Object.entries(COLOURS).map(([name, color]) =>
    element(
      'label',
      { class: 'swatch', style: `--colour: ${color}`, title: name },
      element('input', { type: 'radio', name: 'colour', value: color, 'aria-label': name })
    )
  )
  const form = element(
    'form',
    { method: 'dialog' },
    element('h2', { id: 'identity-title' }, 'How others see you'),
    element('label', { for: 'own-name' }, 'Your name'),
    field,
    element(
      'fieldset',
      {},
      element('legend', {}, 'Colour of your caret'),
      element('div', { class: 'swatches' }, swatches)
    ),
    element(
      'div',
      { class: 'dialog-buttons' },
      element(
        'button',
        { type: 'button', class: 'quiet', onclick: () => dialog.close() },
        'Cancel'
      ),
      element('button', { type: 'submit', class: 'primary' }, 'Save')
    )
  )
  const dialog = element('dialog', { 'aria-labelledby': 'identity-title' }, form)

  dialog.addEventListener('pointerdown', (event) => {
    if (event.target === dialog) dialog.close()
  })
  form.addEventListener('submit', () => {
    const identity = {
      name: cleanName(field.value) ?? load().name,
      color: form.querySelector('input[name=colour]:checked').value
    }
    remember(KEY, identity)
    changed(identity)
  })
  const open = () => {
    const { name, color } = load()
    field.value = name
    form.querySelector(`input[value="${color}"]`).checked = true
    opened()
    dialog.showModal()
    field.select()
  }
  return { dialog, open }
}
