// Replays a trace of one writer: the clients take turns at the keyboard. Each starts only when it
// holds all that was typed before, so that the trace's positions mean the same place to it.
import * as Y from 'yjs'
import { applyPatches, txnsInUnits } from './trace.mjs'

const TURN_EDITS = [200, 1200, 37, 700, 2000, 90]

/** Where each turn starts; a turn ends with an insertion, whose arrival proves all before. */
const turnsOf = (txns) => {
  const isInsertion = ({ patches }) => patches.at(-1)[2] !== ''
  const starts = [0]
  for (let at = 1, length = 0, turn = 0; at < txns.length; at++) {
    length += 1
    if (length >= TURN_EDITS[turn % TURN_EDITS.length] && isInsertion(txns[at - 1])) {
      starts.push(at)
      length = 0
      turn += 1
    }
  }
  return starts
}

/**
 * Types `trace` through `clients`. `scene.edited(done)` is called after each edit, `scene.drained`
 * lets the sockets work, `scene.arrived(client, condition)` waits for the network.
 */
export const replaySequential = async (trace, clients, scene) => {
  const txns = txnsInUnits(trace)
  const starts = turnsOf(txns)
  let before = null
  for (const [turn, start] of starts.entries()) {
    const writer = clients[turn % clients.length]
    if (before !== null) {
      const { clientID, clock } = before
      await scene.arrived(writer, () => Y.getState(writer.doc.store, clientID) >= clock)
    }
    for (let at = start; at < (starts[turn + 1] ?? txns.length); at++) {
      applyPatches(writer.text, txns[at].patches)
      scene.edited(at + 1)
      await scene.drained(writer)
    }
    const { clientID, store } = writer.doc
    before = { clientID, clock: Y.getState(store, clientID) }
  }
}
