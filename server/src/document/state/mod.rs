//! One document's merged state: a pure function of what it holds and the bytes it is given.
//!
//! Job: plan, merge, encode, read. Called by `handle` (live), `load` and `checkpoint` (from the
//! store), and by fuzzers and simulations, without a socket, a clock or a disk. It and its parts
//! are the only modules that name `yrs`, and they give it nothing that `protocol::scan` and `plan`
//! have not passed. Never keeps pending content, never decides who may write.

mod compare;
pub mod fork;
mod join;
mod json;
mod roots;

#[cfg(test)]
pub(crate) mod tests;

use std::borrow::Cow;
use std::collections::HashMap;
use std::ops::Range;

use sheaf_protocol::error::{Code, Refusal};
use sheaf_protocol::plan;
use sheaf_protocol::plan::levels::Levels;
use sheaf_protocol::plan::{Clocks, Plan, Source};
use sheaf_protocol::scan;
use sheaf_protocol::scan::Update as Scanned;
use yrs::block::ClientID;
use yrs::updates::decoder::Decode;
use yrs::updates::encoder::Encode;
use yrs::{Doc, GetString, OffsetKind, Options, ReadTxn, StateVector, Transact, WriteTxn};

pub use join::{Run, single_insert};

use crate::document::snapshot::Content;

/// Live bytes that a byte of encoded state costs, measured on a long text (377 KB encoded, 2.25 MB
/// live); the budget for loaded documents counts with it.
const LIVE_BYTES_PER_ENCODED: usize = 6;

/// What an empty document costs.
const EMPTY_BYTES: usize = 2048;

/// The client id of the server's own replica, which writes nothing.
const SERVER_CLIENT: u64 = 0;

/// A document's content, without its name, its owners or its readers.
pub struct State {
    doc: Doc,
    clocks: Clocks,
    levels: Levels,
    live_bytes: usize,
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("State").field("clients", &self.clocks.len()).finish_non_exhaustive()
    }
}

impl Default for State {
    fn default() -> Self {
        Self::new()
    }
}

impl State {
    /// An empty document.
    pub fn new() -> Self {
        let mut options = Options::with_client_id(ClientID::new(SERVER_CLIENT));
        options.offset_kind = OffsetKind::Utf16;
        // The server relays and stores the bytes it received: it must not edit on its own account.
        options.cleanup_formatting = false;
        Self {
            doc: Doc::with_options(options),
            clocks: HashMap::new(),
            levels: Levels::default(),
            live_bytes: EMPTY_BYTES,
        }
    }

    /// Decides what of a scanned update can be taken, without changing anything. `None`: a live
    /// edit with a gap, to be dropped whole.
    ///
    /// # Errors
    /// See [`plan::plan`].
    pub fn plan<'a>(
        &self,
        update: &Scanned<'a>,
        source: Source,
    ) -> Result<Option<Plan<'a>>, Refusal> {
        plan::plan(update, source, &self.clocks, &self.levels)
    }

    /// Integrates a plan made against this very state. Gives the bytes to store and relay, or
    /// nothing if the update changed nothing.
    ///
    /// # Errors
    /// `Malformed`: the CRDT library does not decode the bytes, nothing has changed. `Internal`: it
    /// did not do what was planned, and the state must not be used any more.
    pub fn integrate<'a>(&mut self, plan: Plan<'a>) -> Result<Option<Cow<'a, [u8]>>, Refusal> {
        if plan.spans.is_empty() && !plan.has_deletes {
            return Ok(None);
        }
        let has_changed = self.merge(&plan.bytes)?;
        for span in plan.spans.iter() {
            self.clocks.insert(span.client, span.end);
        }
        self.levels.extend(plan.levels);
        Ok(has_changed.then_some(plan.bytes))
    }

    /// Integrates a run of chained appends whose first update is in `run` and was planned.
    ///
    /// # Errors
    /// As [`State::integrate`].
    pub fn integrate_run(&mut self, run: Run<'_>, scratch: &mut Vec<u8>) -> Result<(), Refusal> {
        match run.bytes(scratch) {
            Some(bytes) => self.merge(bytes)?,
            None => self.merge(scratch)?,
        };
        self.clocks.insert(run.client(), run.end());
        self.levels.extend(run.into_levels());
        Ok(())
    }

    fn merge(&mut self, bytes: &[u8]) -> Result<bool, Refusal> {
        #[cfg(test)]
        tests::panic_on_marker(bytes);
        let update = yrs::Update::decode_v1(bytes)
            .map_err(|_| refusal(Code::Malformed, "the update does not decode"))?;
        let mut txn = self.doc.transact_mut();
        txn.apply_update(update)
            .map_err(|_| refusal(Code::Internal, "the update does not apply"))?;
        let has_changed = txn.has_changes();
        let has_pending = txn.prune_pending().is_some();
        drop(txn);
        if has_changed {
            self.live_bytes += bytes.len() * LIVE_BYTES_PER_ENCODED;
        }
        if has_pending {
            return Err(refusal(Code::Internal, "planned content stayed pending"));
        }
        Ok(has_changed)
    }

    /// Takes an update as the store keeps it, whatever made it. True if it changed anything.
    ///
    /// # Errors
    /// It does not scan, has a gap, or does not merge: the store lost something before it.
    pub fn replay(&mut self, bytes: &[u8]) -> Result<bool, Refusal> {
        let update = scan::stored(bytes)?;
        let plan = self.plan(&update, Source::Update)?;
        let plan =
            plan.ok_or_else(|| refusal(Code::GapLeftOpen, "what it builds on is missing"))?;
        self.integrate(plan).map(|changed| changed.is_some())
    }

    /// What `state_vector` misses, as one update; deletions are always whole.
    pub fn diff(&self, state_vector: &scan::StateVector<'_>) -> Vec<u8> {
        self.encode_from(state_vector.entries())
    }

    /// What a replica with these clocks misses, as one update.
    pub fn encode_from(&self, clocks: impl Iterator<Item = (u64, u32)>) -> Vec<u8> {
        let mut known = StateVector::default();
        for (client, clock) in clocks {
            // Clocks that are not ours say nothing, and one entry a client keeps the map bounded by
            // what the document holds.
            if let Some(&held) = self.clocks.get(&client) {
                known.set_max(ClientID::new(client), clock.min(held));
            }
        }
        self.doc.transact().encode_diff_v1(&known)
    }

    /// The whole state as one update.
    pub fn encode(&self) -> Vec<u8> {
        self.doc.transact().encode_diff_v1(&StateVector::default())
    }

    /// The state vector, encoded.
    pub fn state_vector(&self) -> Vec<u8> {
        self.doc.transact().state_vector().encode_v1()
    }

    /// True if an update deletes what is not deleted here.
    pub fn lacks_deletes(&self, update: &Scanned<'_>) -> bool {
        let all = self.encode_from(self.clocks.iter().map(|(client, clock)| (*client, *clock)));
        let Ok(all) = scan::stored(&all) else { return true };
        compare::lacks_deletes(&all, update)
    }

    /// True if an update has other content than this document for clocks `range` of a client id.
    /// What is deleted on either side may have been anything.
    pub fn differs(&self, update: &Scanned<'_>, client: u64, range: Range<u32>) -> bool {
        let clocks = self.clocks.iter().map(|(&known, &clock)| {
            (known, if known == client { range.start.min(clock) } else { clock })
        });
        let own = self.encode_from(clocks);
        match scan::update(&own) {
            Ok(own) => compare::differs(&own, update, client, range),
            Err(_) => false,
        }
    }

    /// The clocks held, per client id.
    pub fn clocks(&self) -> &Clocks {
        &self.clocks
    }

    /// Bytes of memory this document is charged with in the budget for all.
    pub fn live_bytes(&self) -> usize {
        self.live_bytes
    }

    /// Charges the document anew, for a state of so many encoded bytes: what was typed and merged
    /// or deleted since costs nothing any more.
    pub fn charge(&mut self, encoded_bytes: usize) {
        self.live_bytes = EMPTY_BYTES + encoded_bytes * LIVE_BYTES_PER_ENCODED;
    }

    /// What it holds as a text: see [`Content`].
    pub fn content(&self, text_root: &str) -> Content {
        roots::content(&self.doc.transact(), text_root)
    }

    /// Every root with its kind, as JSON; see `state::json` for its form.
    pub fn roots(&self) -> serde_json::Map<String, serde_json::Value> {
        json::roots(&self.doc.transact())
    }

    /// The text of a root, if there is such a root and it is a text.
    pub fn text(&self, root: &str) -> Option<String> {
        let txn = self.doc.transact();
        txn.get_text(root).map(|text| text.get_string(&txn))
    }
}

fn refusal(code: Code, what: &'static str) -> Refusal {
    Refusal { code, at: 0, what }
}
