//! One document's merged state: a pure function of what it holds and the bytes it is given.
//!
//! Job: plan, merge, encode, read. What is accepted is integrated when somebody looks at the
//! content, or when it has become much. Called by `handle` (live), `load` and `checkpoint` (from
//! the store), and by fuzzers and simulations, without a socket, a clock or a disk. It and its
//! parts are the only modules that name `yrs`, and they give it nothing that `protocol::scan` and
//! `plan` have not passed. Never lets the library keep content pending, never decides who may
//! write.

mod compare;
pub mod fork;
mod json;
mod pending;
pub mod revert;
mod roots;

#[cfg(test)]
pub(crate) mod tests;

use std::borrow::Cow;
use std::collections::HashMap;
use std::ops::Range;
use std::sync::{Arc, LazyLock};

use sheaf_protocol::error::{Code, Refusal};
use sheaf_protocol::ids::Id;
use sheaf_protocol::plan;
use sheaf_protocol::plan::levels::Levels;
use sheaf_protocol::plan::{Clocks, Plan, Source, Spans};
use sheaf_protocol::scan;
use sheaf_protocol::scan::{Block, Update as Scanned};
use sheaf_protocol::varint;
use yrs::block::ClientID;
use yrs::updates::decoder::Decode;
use yrs::{Doc, GetString, OffsetKind, Options, ReadTxn, StateVector, Transact, WriteTxn};

use pending::Pending;

use crate::document::snapshot::Content;

/// Live bytes that a byte of encoded state costs, measured on a long text (377 KB encoded, 2.25 MB
/// live); the budget for loaded documents counts with it.
const LIVE_BYTES_PER_ENCODED: usize = 6;

/// What an empty document costs.
const EMPTY_BYTES: usize = 2048;

const UNDECODED: &str = "the update does not decode";

/// The client id of the server's own replica, which writes nothing.
const SERVER_CLIENT: u64 = 0;

/// Characters of a text that one client id wrote one after the other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    /// The client id.
    pub client: u64,
    /// The clock of the first; each UTF-16 unit counts one.
    pub clock: u32,
    /// The characters.
    pub text: String,
}

/// A document's content, without its name, its owners or its readers.
pub struct State {
    doc: Doc,
    clocks: Clocks,
    levels: Levels,
    live_bytes: usize,
    /// Accepted, and not yet in `doc`. An idle document has none.
    pending: Option<Box<Pending>>,
    /// Something in it broke before: nothing waits, so that who sends it again is found.
    is_eager: bool,
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
        // The library would draw a name for each: nobody asks for it.
        static NAME: LazyLock<Arc<str>> = LazyLock::new(|| "".into());
        let server = ClientID::new(SERVER_CLIENT);
        let mut options = Options::with_guid_and_client_id(Arc::clone(&NAME), server);
        options.offset_kind = OffsetKind::Utf16;
        // The server relays and stores the bytes it received: it must not edit on its own account.
        options.cleanup_formatting = false;
        Self {
            doc: Doc::with_options(options),
            clocks: HashMap::new(),
            levels: Levels::default(),
            live_bytes: EMPTY_BYTES,
            pending: None,
            is_eager: false,
        }
    }

    /// Integrates everything at once from now on.
    pub fn make_eager(&mut self) {
        self.is_eager = true;
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

    /// Accepts a plan made against this very state, to be integrated later; `text` is the only
    /// block of its update, if that does nothing else. Gives the bytes to store and relay, or
    /// nothing if the update changes nothing.
    ///
    /// # Errors
    /// As [`State::integrate`]; `Internal` also for an update that was accepted before.
    pub fn accept<'a>(
        &mut self,
        plan: Plan<'a>,
        text: Option<&Block<'a>>,
    ) -> Result<Option<Cow<'a, [u8]>>, Refusal> {
        // Whether deletions are news only the content can tell.
        if plan.spans.is_empty() || self.is_eager {
            return self.integrate(plan);
        }
        let is_new = |block: &&Block<'_>| {
            plan.spans.iter().all(|span| span.from == block.id.clock && span.end == block.end())
        };
        let pending = self.pending.get_or_insert_default();
        let pushed = pending.push(&plan.bytes, text.filter(is_new));
        pushed.map_err(|_| refusal(Code::Malformed, UNDECODED))?;
        let is_full = pending.is_full();
        self.live_bytes += plan.bytes.len() * LIVE_BYTES_PER_ENCODED;
        self.hold(&plan.spans, plan.levels);
        if is_full {
            self.settle();
        }
        self.check().map(|()| Some(plan.bytes))
    }

    /// Accepts the only block of an update if it just goes on with what was accepted last: no plan
    /// is needed then. The caller knows that both are the same author's.
    pub fn extend(&mut self, update: &Scanned<'_>, block: &Block<'_>) -> bool {
        let is_next = self.pending.as_mut().is_some_and(|pending| pending.extend(block));
        if !is_next {
            return false;
        }
        self.live_bytes += update.bytes().len() * LIVE_BYTES_PER_ENCODED;
        let id = block.id;
        if !self.levels.is_empty() {
            let level = self.levels.get(Id { clock: id.clock - 1, ..id });
            if level > 0 {
                self.levels.put(id, block.len, level);
            }
        }
        self.clocks.insert(id.client, block.end());
        true
    }

    /// Integrates what was accepted, all in one transaction. It may fail, or panic, though it
    /// passed the plan: then [`State::broken`] has the culprit, and the state must not be used.
    pub fn settle(&mut self) {
        let Some(pending) = &mut self.pending else { return };
        if !pending.begin() {
            return;
        }
        let mut txn = self.doc.transact_mut();
        while let Some(update) = pending.next() {
            #[cfg(test)]
            tests::panic_on_marker(pending.culprit().unwrap_or_default());
            let applied = update.map(|update| txn.apply_update(update));
            let is_whole = matches!(applied, Ok(Ok(()))) && txn.prune_pending().is_none();
            if !is_whole {
                return;
            }
            pending.done();
        }
        drop(txn);
        pending.clear();
    }

    /// The update that did not integrate, if one did not.
    pub fn broken(&self) -> Option<&[u8]> {
        self.pending.as_ref()?.culprit()
    }

    fn check(&self) -> Result<(), Refusal> {
        let what = "an accepted update does not integrate";
        self.broken().map_or(Ok(()), |_| Err(refusal(Code::Internal, what)))
    }

    /// Bytes of what was accepted and is not integrated.
    #[cfg(test)]
    fn waiting_bytes(&self) -> usize {
        self.pending.as_ref().map_or(0, |pending| pending.bytes())
    }

    /// Gives back memory that a document in use keeps.
    pub fn shrink(&mut self) {
        self.settle();
        self.pending.take_if(|pending| pending.is_empty());
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
        self.settle();
        self.check()?;
        let has_changed = self.merge(&plan.bytes)?;
        self.hold(&plan.spans, plan.levels);
        Ok(has_changed.then_some(plan.bytes))
    }

    fn hold(&mut self, spans: &Spans, levels: Levels) {
        for span in spans.iter() {
            self.clocks.insert(span.client, span.end);
        }
        self.levels.extend(levels);
    }

    fn merge(&mut self, bytes: &[u8]) -> Result<bool, Refusal> {
        #[cfg(test)]
        tests::panic_on_marker(bytes);
        let update =
            yrs::Update::decode_v1(bytes).map_err(|_| refusal(Code::Malformed, UNDECODED))?;
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
        let plan = self.plan(&update, Source::Stored)?;
        let plan =
            plan.ok_or_else(|| refusal(Code::GapLeftOpen, "what it builds on is missing"))?;
        self.integrate(plan).map(|changed| changed.is_some())
    }

    /// What `state_vector` misses, as one update; deletions are always whole.
    pub fn diff(&mut self, state_vector: &scan::StateVector<'_>) -> Vec<u8> {
        self.encode_from(state_vector.entries())
    }

    /// What a replica with these clocks misses, as one update.
    pub fn encode_from(&mut self, clocks: impl Iterator<Item = (u64, u32)>) -> Vec<u8> {
        self.settle();
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
    pub fn encode(&mut self) -> Vec<u8> {
        self.settle();
        self.doc.transact().encode_diff_v1(&StateVector::default())
    }

    /// The state vector, encoded.
    pub fn state_vector(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(8 + 8 * self.clocks.len());
        varint::write_uint(&mut out, self.clocks.len() as u64);
        for (client, clock) in &self.clocks {
            varint::write_uint(&mut out, *client);
            varint::write_uint(&mut out, u64::from(*clock));
        }
        out
    }

    /// True if an update deletes what is not deleted here.
    pub fn lacks_deletes(&mut self, update: &Scanned<'_>) -> bool {
        let clocks: Vec<_> = self.clocks.iter().map(|(client, clock)| (*client, *clock)).collect();
        let all = self.encode_from(clocks.into_iter());
        let Ok(all) = scan::stored(&all) else { return true };
        compare::lacks_deletes(&all, update)
    }

    /// True if an update has other content than this document for clocks `range` of a client id.
    /// What is deleted on either side may have been anything.
    pub fn differs(&mut self, update: &Scanned<'_>, client: u64, range: Range<u32>) -> bool {
        let clocks = self.clocks.iter().map(|(&known, &clock)| {
            (known, if known == client { range.start.min(clock) } else { clock })
        });
        let clocks: Vec<_> = clocks.collect();
        let own = self.encode_from(clocks.into_iter());
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
    pub fn content(&mut self, text_root: &str) -> Content {
        self.settle();
        roots::content(&self.doc.transact(), text_root)
    }

    /// Every root with its kind, as JSON; see `state::json` for its form.
    pub fn roots(&mut self) -> serde_json::Map<String, serde_json::Value> {
        self.settle();
        json::roots(&self.doc.transact())
    }

    /// The runs of characters of the document's text, each of one client id and clocks that follow
    /// one another; none where its content is no text. Splits nothing that anybody sees: for a
    /// state of one's own.
    pub fn runs(&mut self, text_root: &str) -> Option<Vec<Run>> {
        match self.content(text_root) {
            Content::Empty => Some(Vec::new()),
            Content::Text { root, .. } => Some(roots::runs(&self.doc, &root)),
            Content::Other { .. } => None,
        }
    }

    /// The text of a root, if there is such a root and it is a text.
    pub fn text(&mut self, root: &str) -> Option<String> {
        self.settle();
        let txn = self.doc.transact();
        txn.get_text(root).map(|text| text.get_string(&txn))
    }
}

fn refusal(code: Code, what: &'static str) -> Refusal {
    Refusal { code, at: 0, what }
}
