// The link to the server, told in five states. It wraps the stock provider and adds only words:
// `connecting`, `syncing`, `live`, `offline` (by choice or because the network is gone), `closed`
// (the server said that trying again is pointless).
import { WebsocketProvider } from 'y-websocket'
import { accessParams, roomOf, serverAddress } from './address.js'

const PAUSED_KEY = 'sheaf-paused'
// Longer than a quick reconnect takes, so that a restart of the server does not read as "offline".
const PATIENCE_MS = 4000

const REASONS = {
  4400: 'The server could not read what this page sent.',
  4401: 'This document needs a token: open it with an address that carries one.',
  4403: 'You are not allowed to open this document.',
  4404: 'The server does not know this document’s vault.',
  4409: 'Edits in this browser were made by somebody else, and the server keeps them apart.',
  4410: 'This browser’s copy builds on edits that nobody has any more.',
  4413: 'A change was larger than the server accepts.'
}

/** A sentence for a permanent close. */
export const closeReason = ({ code, reason }) => {
  const known = REASONS[code] ?? 'The server closed this document.'
  return `${known} (${[code, reason].filter(Boolean).join(': ')})`
}

/** Whether this tab was told to stay offline; survives a reload of the tab, not the tab. */
const isPaused = () => {
  try {
    return sessionStorage.getItem(PAUSED_KEY) === 'yes'
  } catch {
    return false
  }
}

const setPaused = (paused) => {
  try {
    if (paused) sessionStorage.setItem(PAUSED_KEY, 'yes')
    else sessionStorage.removeItem(PAUSED_KEY)
  } catch {
    /* lasts as long as the page, then */
  }
}

/**
 * Connects `doc` to the room of `name`; `report(state, detail)` is called at every change.
 * Gives `{ awareness, pause(), resume(), isPaused() }`.
 */
export const connect = (name, doc, report) => {
  const provider = new WebsocketProvider(serverAddress(), roomOf(name), doc, {
    connect: false,
    params: accessParams(),
    // What is seen here has been to the server: no short cut between tabs.
    disableBc: true
  })
  let closed = null
  let paused = isPaused()
  let since = null
  let last = null

  const show = () => {
    const failing = since !== null && Date.now() - since > PATIENCE_MS
    const state =
      closed !== null
        ? 'closed'
        : paused
          ? 'paused'
          : provider.synced
            ? 'live'
            : provider.wsconnected
              ? 'syncing'
              : failing
                ? 'offline'
                : 'connecting'
    if (state === last && state !== 'closed') return
    last = state
    report(state, closed === null ? null : closeReason(closed))
  }
  const start = () => {
    closed = null
    since = Date.now()
    setTimeout(show, PATIENCE_MS + 50)
    provider.connect()
    show()
  }

  provider.on('status', ({ status }) => {
    if (status === 'connected') since = null
    else if (since === null) {
      since = Date.now()
      setTimeout(show, PATIENCE_MS + 50)
    }
    show()
  })
  provider.on('sync', show)
  provider.on('connection-error', show)
  provider.on('closed', (event) => {
    closed = event
    show()
  })
  addEventListener('online', () => {
    if (!paused && closed === null) start()
  })

  if (paused) show()
  else start()

  return {
    awareness: provider.awareness,
    isPaused: () => paused,
    pause() {
      paused = true
      setPaused(true)
      provider.disconnect()
      show()
    },
    resume() {
      paused = false
      setPaused(false)
      start()
    }
  }
}
