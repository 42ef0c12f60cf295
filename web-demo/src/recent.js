// The documents opened in this browser, newest first: a list of names and times, never content.
import { remember, remembered } from './memory.js'

const KEY = 'sheaf-recent'
const RECENT_MAX = 12

/** `[{ name, at }]`, `at` in milliseconds since 1970. */
export const recentDocuments = () => {
  const list = remembered(KEY, [])
  return Array.isArray(list)
    ? list.filter((entry) => typeof entry?.name === 'string' && Number.isFinite(entry.at))
    : []
}

export const noteOpened = (name) => {
  const others = recentDocuments().filter((entry) => entry.name !== name)
  remember(KEY, [{ name, at: Date.now() }, ...others].slice(0, RECENT_MAX))
}

/** Takes `name` off the list. The document and this device's copy of it stay. */
export const forget = (name) => {
  remember(
    KEY,
    recentDocuments().filter((entry) => entry.name !== name)
  )
}

const STEPS = [
  ['day', 86_400_000],
  ['hour', 3_600_000],
  ['minute', 60_000]
]

/** `at` as people say it: “2 hours ago”. */
export const timeAgo = (at) => {
  const passed = Date.now() - at
  const [unit, size] = STEPS.find(([, step]) => passed >= step) ?? [null, 1]
  if (unit === null) return 'just now'
  return new Intl.RelativeTimeFormat('en', { numeric: 'auto' }).format(
    -Math.floor(passed / size),
    unit
  )
}
