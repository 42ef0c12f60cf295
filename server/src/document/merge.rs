//! The part of a document that its state's lock guards: state, owners, counters.
//!
//! Job: merge a batch of updates in memory and say what is to be written and published. Called by
//! `handle`, under the lock. Never writes, publishes or waits; a panic in here is `handle`'s.

use std::borrow::Cow;
use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use sheaf_protocol::error::{Code, Refusal};
use sheaf_protocol::ids::{DocKey, Principal};
use sheaf_protocol::plan::{Plan, Source, Span};
use sheaf_protocol::scan::{self, Block, Event};
use sheaf_protocol::stamp::{Stamp, StampClock};

use super::answers::Answers;
use super::checkpoint::Draft;
use super::ending::{self, Mark, Writer};
use super::handle::Name;
use super::owners::{Carried, Live, Owners, Submitter, Verdict};
use super::past::Past;
use super::state::State;
use super::submission::{Receipt, Submission};
use super::tail::Firsts;
use sheaf_storage::journal::payload::{Claim, Created, Refused};
use sheaf_storage::journal::{Kind, Record};
use sheaf_storage::store::Owner;

/// A checkpoint is due after this many entries …
const CHECKPOINT_ENTRIES: u64 = 4_096;

/// … or this many bytes of updates, and at least a quarter of the state's own size, so that a big
/// document is not written again for every page of edits.
const CHECKPOINT_BYTES: usize = 128 * 1024;

/// What a batch did, to be written and published.
#[derive(Debug, Default)]
pub(super) struct Taken<'a> {
    /// Accepted updates in order.
    pub updates: Vec<Cow<'a, [u8]>>,
    /// Ids bound and clocks carried.
    pub claims: Vec<Owner>,
    /// Copies kept for owners.
    pub kept: Vec<&'a [u8]>,
    /// Index of the update being merged: the culprit if it panics.
    pub at: usize,
    /// The state refused what was planned for it: it is not trusted any more.
    pub broken: Option<Refusal>,
    /// For the session.
    pub receipt: Receipt,
    /// The clocks that are new.
    pub firsts: Firsts,
}

impl Taken<'_> {
    /// True if there is nothing to write.
    pub fn is_empty(&self) -> bool {
        self.updates.is_empty() && self.claims.is_empty() && self.kept.is_empty()
    }
}

/// The guarded part of a document.
#[derive(Debug)]
pub(super) struct Core {
    pub(super) state: State,
    owners: Owners,
    /// Who had the name before.
    pub(super) past: Past,
    epoch: u64,
    /// The store or the journal knows the document.
    is_created: bool,
    n: u64,
    /// A journal position at or before the last entry's record.
    position: u64,
    stamps: Arc<StampClock>,
    /// The last one that was taken from it for an entry.
    stamped: Stamp,
    /// What was answered to others since the last change.
    pub(super) answers: Option<Box<Answers>>,
    checkpoint_n: u64,
    checkpoint_bytes: usize,
    bytes_since: usize,
    /// When the last entry was written.
    last: Option<Stamp>,
    /// Who wrote, each with the n of their last entry, the latest last.
    writers: Vec<Writer>,
    /// Who wrote the last accepted insert: only they may go on with it without a plan.
    run_by: Option<Principal>,
}

/// What a document is made from.
pub(super) struct Parts {
    pub state: State,
    pub owners: Owners,
    pub epoch: u64,
    pub is_created: bool,
    pub n: u64,
    pub position: u64,
    pub stamps: Arc<StampClock>,
    pub checkpoint_n: u64,
    pub checkpoint_bytes: usize,
    pub bytes_since: usize,
    pub last: Option<Stamp>,
    pub writers: Vec<Writer>,
}

/// Records of a commit that are not updates, as bytes.
pub(super) struct Notes {
    created: Option<Vec<u8>>,
    claims: Option<Vec<u8>>,
    kept: Vec<Vec<u8>>,
}

impl Notes {
    /// The record that makes a new document known, if it is new.
    pub(super) fn created_record(&self, doc: DocKey, stamp: Stamp) -> Vec<Record<'_>> {
        let created = self.created.iter();
        let kind = Kind::Created;
        created.map(|payload| Record { doc, n: 0, kind, stamp, author: None, payload }).collect()
    }
}

fn encoded(write: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut out = Vec::new();
    write(&mut out);
    out
}

impl Core {
    pub(super) fn new(parts: Parts) -> Self {
        Self {
            state: parts.state,
            owners: parts.owners,
            past: Past::default(),
            epoch: parts.epoch,
            is_created: parts.is_created,
            n: parts.n,
            position: parts.position,
            stamps: parts.stamps,
            stamped: Stamp::ZERO,
            answers: None,
            checkpoint_n: parts.checkpoint_n,
            checkpoint_bytes: parts.checkpoint_bytes,
            bytes_since: parts.bytes_since,
            last: parts.last,
            writers: parts.writers,
            run_by: None,
        }
    }

    pub(super) fn state(&self) -> &State {
        &self.state
    }

    /// To look at the content.
    pub(super) fn state_mut(&mut self) -> &mut State {
        &mut self.state
    }

    /// Bytes as stored: the last checkpoint and the entries since.
    pub(super) fn stored_bytes(&self) -> u64 {
        (self.checkpoint_bytes + self.bytes_since) as u64
    }

    pub(super) fn mark(&self) -> Mark {
        let (n, bytes, epoch) = (self.n, self.stored_bytes(), self.epoch);
        Mark { n, bytes, epoch, last: self.last, writers: self.writers.clone() }
    }

    pub(super) fn n(&self) -> u64 {
        self.n
    }

    /// The store or the journal knows the document.
    pub(super) fn is_created(&self) -> bool {
        self.is_created
    }

    /// One past the last clock of a client id.
    pub(super) fn clock(&self, client: u64) -> u32 {
        self.state.clocks().get(&client).copied().unwrap_or(0)
    }

    /// True if anybody wrote with a client id, or it belongs to somebody, or is of the past.
    pub(super) fn knows(&self, client: u64) -> bool {
        self.state.clocks().contains_key(&client)
            || self.owners.owner(client).is_some()
            || self.past.has(client)
    }

    pub(super) fn stamp(&self, now_ms: u64) -> Stamp {
        self.stamps.tick(now_ms)
    }

    /// Merges a batch. It stops at an update that is refused or has to wait.
    pub(super) fn merge<'a>(
        &mut self,
        batch: &[Submission<'a>],
        by: Submitter<'_>,
        taken: &mut Taken<'a>,
        live: impl Fn(&Principal, u64) -> Option<bool>,
    ) {
        for (at, submission) in batch.iter().enumerate() {
            let Submission { source, update } = submission;
            let text = update.text().filter(|_| *source == Source::Update);
            if let Some(block) = text
                && self.run_by.as_ref() == Some(by.author.principal)
                && self.state.extend(update, block)
            {
                taken.firsts.note(block.id.client, block.id.clock);
                taken.updates.push(Cow::Borrowed(update.bytes()));
                continue;
            }
            taken.at = at;
            if self.is_past(submission, by, &mut taken.receipt) {
                if taken.receipt.has_stopped() {
                    return;
                }
                continue;
            }
            if let Some(plan) = self.admit(submission, by, taken, &live) {
                self.accept(plan, text, taken);
                self.run_by = text.is_some().then(|| by.author.principal.clone());
            }
            if taken.broken.is_some() || taken.receipt.has_stopped() {
                return;
            }
        }
    }

    fn accept<'a>(&mut self, plan: Plan<'a>, text: Option<&Block<'a>>, taken: &mut Taken<'a>) {
        taken.receipt.has_gap |= plan.has_gap;
        match self.state.accept(plan, text) {
            Ok(changed) => taken.updates.extend(changed),
            Err(refusal) if refusal.code == Code::Malformed => {
                taken.receipt.refusal = Some(refusal);
            }
            Err(refusal) => taken.broken = Some(refusal),
        }
    }

    /// Plans one update and asks whether its author may write it. `None`: it is not taken, for a
    /// gap, or for what the receipt says, which ends the batch.
    fn admit<'a>(
        &mut self,
        submission: &Submission<'a>,
        by: Submitter<'_>,
        taken: &mut Taken<'a>,
        live: &impl Fn(&Principal, u64) -> Option<bool>,
    ) -> Option<Plan<'a>> {
        let Submission { source, update } = submission;
        let plan = match self.state.plan(update, *source) {
            Ok(Some(plan)) => plan,
            Ok(None) => {
                taken.receipt.has_gap = true;
                return None;
            }
            Err(refusal) => {
                taken.receipt.refusal = Some(refusal);
                return None;
            }
        };
        let claims_before = taken.claims.len();
        for span in plan.spans.iter() {
            let verdict =
                self.owners.check(span, *source, by, |owner| match live(owner, span.client) {
                    None => Live::Gone,
                    Some(false) => Live::Here,
                    Some(true) => Live::Using,
                });
            if !self.rule(span, verdict, by, taken) {
                taken.claims.truncate(claims_before);
                return None;
            }
        }
        for claim in &taken.claims[claims_before..] {
            self.own(claim);
        }
        self.keep_copies(update, by.author.principal, taken);
        plan.spans.iter().for_each(|span| taken.firsts.note(span.client, span.from));
        Some(plan)
    }

    fn rule(
        &self,
        span: &Span,
        verdict: Verdict,
        by: Submitter<'_>,
        taken: &mut Taken<'_>,
    ) -> bool {
        let Span { client, from, end } = *span;
        match verdict {
            Verdict::Allowed => true,
            Verdict::Bound => {
                if let Principal::Named(name) = by.author.principal {
                    let (owner, clocks) = (Arc::clone(name), 0..u32::MAX);
                    taken.claims.push(Owner { client, clocks, owner, via: None });
                }
                true
            }
            Verdict::Via(owner) => {
                let via = Some(Arc::from(by.author.principal.name().unwrap_or("")));
                taken.claims.push(Owner { client, clocks: from..end, owner, via });
                true
            }
            Verdict::Ask(owner) => {
                taken.receipt.ask = Some(owner);
                false
            }
            Verdict::Refused => {
                let what = "new clocks for a client id of another principal";
                taken.receipt.refusal = Some(Refusal { code: Code::ForeignId, at: 0, what });
                false
            }
        }
    }

    /// Takes in a claim, as just made or as stored.
    pub(super) fn own(&mut self, claim: &Owner) {
        self.owners.bind(claim.client, Principal::Named(Arc::clone(&claim.owner)));
        if let Some(via) = &claim.via {
            let clocks = claim.clocks.clone();
            self.owners.carry(claim.client, Carried { clocks, via: Arc::clone(via) });
        }
    }

    /// An owner may come back with other content for clocks that another principal brought: his
    /// copy is kept, once.
    fn keep_copies<'a>(
        &mut self,
        update: &scan::Update<'a>,
        by: &Principal,
        taken: &mut Taken<'a>,
    ) {
        for event in update.events() {
            let Event::Section { client, .. } = event else { continue };
            if self.owners.owner(client) != Some(by) {
                continue;
            }
            for at in 0..self.owners.carried(client).len() {
                let carried = self.owners.carried(client)[at].clocks.clone();
                // Comparing encodes the document: only for clocks that really come again.
                if has_clocks(update, client, &carried)
                    && self.state.differs(update, client, carried)
                {
                    taken.receipt.has_kept_copy = true;
                    taken.kept.push(update.bytes());
                    return;
                }
            }
        }
    }

    /// Binds an id to the principal that shows it first in awareness. False if it is another's.
    pub(super) fn show(&mut self, client: u64, who: &Principal) -> bool {
        if !self.owners.may_show(client, who) {
            return false;
        }
        // An id with blocks and no owner stays anyone's.
        if !self.state.clocks().contains_key(&client) {
            self.owners.bind(client, who.clone());
        }
        true
    }

    /// The payloads of a commit's records that are not updates.
    pub(super) fn notes(&self, name: &Name, taken: &Taken<'_>) -> Notes {
        let created = (!self.is_created).then(|| {
            let (vault, document) = (name.vault.clone(), name.document.to_string());
            encoded(|out| Created { vault, name: document, epoch: self.epoch }.encode(out))
        });
        let claims = (!taken.claims.is_empty())
            .then(|| encoded(|out| Claim { owners: taken.claims.clone() }.encode(out)));
        let keep = |bytes: &&[u8]| {
            let reason = "other content than what was taken in the owner's name";
            encoded(|out| Refused { reason, bytes }.encode(out))
        };
        Notes { created, claims, kept: taken.kept.iter().map(keep).collect() }
    }

    /// True if an update would change something. Looks at the whole document.
    pub(super) fn would_change(&mut self, submission: &Submission<'_>) -> bool {
        !matches!(self.news(submission), Ok(Some((false, _))))
    }

    /// Whether an update would change the document, and whether some of it stands on what is
    /// missing; `None`: all of it does.
    ///
    /// # Errors
    /// The update is refused.
    pub(super) fn news(
        &mut self,
        submission: &Submission<'_>,
    ) -> Result<Option<(bool, bool)>, Refusal> {
        let Submission { source, update } = submission;
        let Some(plan) = self.state.plan(update, *source)? else { return Ok(None) };
        let (has_spans, has_gap) = (!plan.spans.is_empty(), plan.has_gap);
        Ok(Some((has_spans || self.state.lacks_deletes(update), has_gap)))
    }

    /// The records of a commit in their order: the document itself, its owners, its updates.
    pub(super) fn records<'r>(
        &mut self,
        doc: DocKey,
        author: &'r Principal,
        taken: &'r Taken<'_>,
        notes: &'r Notes,
        now_ms: u64,
    ) -> Vec<Record<'r>> {
        let mut n = self.n;
        let author = author.name();
        let created = notes.created.iter().map(|bytes| (Kind::Created, bytes.as_slice()));
        let claims = notes.claims.iter().map(|bytes| (Kind::Claim, bytes.as_slice()));
        let kept = notes.kept.iter().map(|bytes| (Kind::Kept, bytes.as_slice()));
        let updates = taken.updates.iter().map(|bytes| (Kind::Update, &**bytes));
        let all = created.chain(claims).chain(kept).chain(updates);
        all.map(|(kind, payload)| {
            n += u64::from(kind == Kind::Update);
            let ticked = self.stamps.tick(now_ms);
            self.stamped = ticked;
            // A document's id is the moment of its creation.
            let stamp = if kind == Kind::Created { doc.doc.0 } else { ticked };
            Record { doc, n, kind, stamp, author, payload }
        })
        .collect()
    }

    /// The journal has the batch.
    pub(super) fn written(&mut self, taken: &Taken<'_>, position: u64, by: (&Principal, u64)) {
        self.is_created = true;
        self.position = position;
        self.n += taken.updates.len() as u64;
        if !taken.updates.is_empty() {
            self.last = Some(self.stamped);
            let author = if let Principal::Named(name) = by.0 { Some(name) } else { None };
            ending::wrote(&mut self.writers, (author, by.1), self.n);
        }
        self.bytes_since += taken.updates.iter().map(|update| update.len()).sum::<usize>();
        self.answers = None;
    }

    /// What lacks from these clocks on, with everything else known.
    pub(super) fn resync(&mut self, missed: &HashMap<u64, u32>) -> Vec<u8> {
        let clocks = self.state.clocks().iter().map(|(client, clock)| {
            (*client, missed.get(client).copied().unwrap_or(*clock).min(*clock))
        });
        let clocks: Vec<_> = clocks.collect();
        self.state.encode_from(clocks.into_iter())
    }

    pub(super) fn bytes_since_checkpoint(&self) -> usize {
        self.bytes_since
    }

    pub(super) fn entries_since_checkpoint(&self) -> u64 {
        self.n - self.checkpoint_n
    }

    /// The state to write down, if it is time.
    pub(super) fn due_checkpoint(&mut self, is_forced: bool, end: u64) -> Option<Draft> {
        self.is_checkpoint_due(is_forced).then(|| Draft {
            n: self.n,
            position: self.position,
            end,
            bytes: self.state.encode(),
            bytes_since: self.bytes_since,
            clocks: self.state.clocks().clone(),
        })
    }

    fn is_checkpoint_due(&self, is_forced: bool) -> bool {
        let entries = self.entries_since_checkpoint();
        let is_large =
            self.bytes_since >= CHECKPOINT_BYTES && self.bytes_since >= self.checkpoint_bytes / 4;
        entries > 0 && (is_forced || is_large || entries >= CHECKPOINT_ENTRIES)
    }

    pub(super) fn checkpointed(&mut self, draft: &Draft) {
        if draft.n > self.checkpoint_n {
            self.checkpoint_n = draft.n;
            self.checkpoint_bytes = draft.bytes.len();
            // What came while it was written is in the next one.
            self.bytes_since = self.bytes_since.saturating_sub(draft.bytes_since);
            self.state.charge(self.checkpoint_bytes + self.bytes_since);
        }
    }
}

/// True if an update has blocks of a client id within these clocks.
fn has_clocks(update: &scan::Update<'_>, client: u64, clocks: &Range<u32>) -> bool {
    update.events().any(|event| match event {
        Event::Block(block) => {
            block.id.client == client && block.id.clock < clocks.end && block.end() > clocks.start
        }
        _ => false,
    })
}
