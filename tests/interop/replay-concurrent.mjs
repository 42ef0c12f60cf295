// Replays a trace of several writers at once. Positions of a transaction refer to the document as
// its writer saw it: exactly the transactions that its parents name, and theirs. So each writer
// has a replica that is given a transaction only when the trace says so, and only after the bytes
// came to the writer's client over the network; what the writer types goes out through that client.
import * as Y from 'yjs'
import { applyPatches, hasAstral, inUnits } from './trace.mjs'

// A writer changes from one client to the next after this many transactions.
const SEAT_TXNS = 500

/** For each transaction: by agent, the index of the last transaction it has seen. */
const versionsOf = (txns, agents) => {
  const versions = []
  const last = Array(agents).fill(-1)
  for (const [at, { agent, parents }] of txns.entries()) {
    const seen = Array(agents).fill(-1)
    for (const parent of parents) {
      versions[parent].forEach((index, other) => {
        seen[other] = Math.max(seen[other], index)
      })
    }
    if (seen[agent] !== last[agent])
      throw new Error(`transaction ${at} does not follow its writer's last one`)
    seen[agent] = at
    last[agent] = at
    versions.push(seen)
  }
  return versions
}

/** What must be in a document for a transaction to have arrived. */
const proofOf = (update, doc) => {
  const { ds } = Y.decodeUpdate(update)
  const deletes = [...ds.clients].flatMap(([client, ranges]) =>
    ranges.map(({ clock, len }) => ({ client, clock: clock + len - 1 }))
  )
  return { clientID: doc.clientID, clock: Y.getState(doc.store, doc.clientID), deletes }
}

const holds = (doc, { clientID, clock, deletes }) =>
  Y.getState(doc.store, clientID) >= clock &&
  deletes.every(
    ({ client, clock }) =>
      Y.getState(doc.store, client) > clock &&
      Y.getItem(doc.store, Y.createID(client, clock)).deleted
  )

/** As `replaySequential`, all writers at once. */
export const replayConcurrent = async (trace, clients, scene) => {
  const { txns, agents } = trace
  const astral = hasAstral(trace)
  const versions = versionsOf(txns, agents)
  const own = Array.from({ length: agents }, (_, agent) =>
    txns.flatMap((txn, at) => (txn.agent === agent ? [at] : []))
  )
  // Yjs orders concurrent insertions at one place by client id: the trace's end is that of
  // ascending ids.
  const base = 1 + Math.floor(Math.random() * 2 ** 30)
  const updates = []
  const proofs = []
  let done = 0

  const write = async (agent) => {
    const replica = new Y.Doc()
    replica.clientID = base + agent
    const seats = clients.filter((_, at) => at % agents === agent % clients.length)
    const given = Array(agents).fill(0)
    for (const [turn, at] of own[agent].entries()) {
      const seat = seats[Math.floor(turn / SEAT_TXNS) % seats.length]
      for (let other = 0; other < agents; other++) {
        const needed = versions[at][other]
        if (other === agent || needed < 0 || own[other][given[other] - 1] >= needed) continue
        await scene.arrived(seat, () => proofs[needed] && holds(seat.doc, proofs[needed]))
        for (; own[other][given[other]] <= needed; given[other]++) {
          Y.applyUpdate(replica, updates[own[other][given[other]]])
        }
      }
      const previous = proofs[own[agent][turn - 1]]
      if (previous) await scene.arrived(seat, () => holds(seat.doc, previous))
      replica.once('update', (update) => {
        updates[at] = update
      })
      const text = replica.getText('content')
      const { patches } = txns[at]
      applyPatches(text, astral ? inUnits(patches, text.toString()) : patches)
      proofs[at] = proofOf(updates[at], replica)
      Y.applyUpdate(seat.doc, updates[at], 'trace')
      scene.edited(++done)
      await scene.drained(seat)
    }
    replica.destroy()
  }
  await Promise.all(own.map((_, agent) => write(agent)))
}
