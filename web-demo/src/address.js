// Document names and the addresses made from them: the page's own (`?doc=name`), the WebSocket's
// (same host, the name as path) and the one to hand to others.

const NAME_BYTES_MAX = 1024

/** The name in the page's address, or null where none is asked for. */
export const documentName = () => {
  const name = new URLSearchParams(location.search).get('doc')
  return name === null || name.trim() === '' ? null : name.trim()
}

/** Why `name` can't be opened, as a sentence for people; null if it can. */
export const nameProblem = (name) => {
  const parts = name.split('/')
  if (name === '') return 'Give the document a name.'
  if (new TextEncoder().encode(name).length > NAME_BYTES_MAX) {
    return `That name is too long: ${NAME_BYTES_MAX} bytes is the most.`
  }
  if (parts.some((part) => part === '' || part === '.' || part === '..')) {
    return 'A name can’t start or end with a slash, or have an empty, “.” or “..” part.'
  }
  if (parts[0] === 'v1') return 'Names that start with “v1/” belong to the server itself.'
  return null
}

/** The page that edits `name`, without any token: safe to hand to others. */
export const documentAddress = (name) => {
  const address = new URL('.', location.href)
  address.searchParams.set('doc', name)
  return address.href
}

/** Where the page itself lives, as a WebSocket address: `ws://host/`. */
export const serverAddress = () => {
  const address = new URL('.', location.href)
  address.protocol = address.protocol === 'https:' ? 'wss:' : 'ws:'
  address.search = ''
  address.hash = ''
  return address.href
}

/** `name` as a path: stock providers put the room into the address as it is. */
export const roomOf = (name) => name.split('/').map(encodeURIComponent).join('/')

/** What the page was opened with and the provider has to send along. */
export const accessParams = () => {
  const token = new URLSearchParams(location.search).get('token')
  return token ? { token } : {}
}

/** The page that edits `name`, or the landing page for null; this page's token goes along. */
export const openAddress = (name) => {
  const address = new URL(name === null ? new URL('.', location.href) : documentAddress(name))
  for (const [key, value] of Object.entries(accessParams())) address.searchParams.set(key, value)
  return address.href
}
