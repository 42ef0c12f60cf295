// Light and dark: follows the system until the person chooses; choosing what the system has
// anyway goes back to following it.
import { element, icon } from './element.js'

const KEY = 'sheaf-theme'
const systemDark = matchMedia('(prefers-color-scheme: dark)')

const systemTheme = () => (systemDark.matches ? 'dark' : 'light')
const currentTheme = () => document.documentElement.dataset.theme ?? systemTheme()

const choose = (theme) => {
  const follows = theme === systemTheme()
  if (follows) delete document.documentElement.dataset.theme
  else document.documentElement.dataset.theme = theme
  try {
    if (follows) localStorage.removeItem(KEY)
    else localStorage.setItem(KEY, theme)
  } catch {
    /* storage refused: the choice lasts as long as the page */
  }
}

/** A button that switches between light and dark and says which one a press gives. */
export const themeButton = () => {
  const button = element('button', { type: 'button', class: 'quiet square' })
  const show = () => {
    const other = currentTheme() === 'dark' ? 'light' : 'dark'
    button.replaceChildren(icon(other === 'dark' ? 'moon' : 'sun'))
    button.setAttribute('aria-label', `Switch to ${other} colours`)
    button.title = `Switch to ${other} colours`
  }
  button.addEventListener('click', () => {
    choose(currentTheme() === 'dark' ? 'light' : 'dark')
    show()
  })
  systemDark.addEventListener('change', show)
  show()
  return button
}
