//! A replica without a socket: the document, who is present, what is still to be said. The public
//! half ([`crate::replica`]) edits it; the link feeds it frames and takes frames from it.
//! Simulations and other transports may drive it themselves.
//!
//! Lock order: document, then outbox. The outbox is filled while the document's transaction is
//! open, so frames leave in the order in which edits were made.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use parking_lot::Mutex;

use sheaf_protocol::frame::{self, Message};
use sheaf_protocol::plan::levels::Levels;
use sheaf_protocol::plan::{self, Source};
use sheaf_protocol::{scan, varint};
use tokio::sync::{Notify, watch};
use tokio::time::Instant;
use yrs::block::ClientID;
use yrs::types::text::YChange;
use yrs::updates::decoder::Decode;
use yrs::updates::encoder::Encode;
use yrs::{
    Doc, OffsetKind, Out, ReadTxn, StateVector, Text, TextRef, Transact, TransactionMut, Update,
};

use crate::error::{ApplyError, EditError};
use crate::outbox::Outbox;
use crate::presence::Presence;
use crate::replica::{Arrival, Counters, Hook, Options, Status};

/// The state of one replica, shared by its handle and its link.
pub struct State {
    doc: Doc,
    text: TextRef,
    client_id: u32,
    /// Whether a character outside the basic plane may be in the text. Only then do offsets need a
    /// look at it.
    may_have_pairs: AtomicBool,
    outbox: Mutex<Outbox>,
    presence: Mutex<Presence>,
    /// Wakes the link's writer.
    pub(crate) outbox_filled: Notify,
    /// Counts every visible change; waits hang on it.
    changes: watch::Sender<u64>,
    status: watch::Sender<Status>,
    echo_asked: AtomicU64,
    echo_heard: AtomicU64,
    pub(crate) counters: Tally,
    hook: Option<Hook>,
}

/// Traffic so far, over all connections.
#[derive(Default)]
pub(crate) struct Tally {
    pub(crate) connects: AtomicU64,
    pub(crate) frames_in: AtomicU64,
    pub(crate) bytes_in: AtomicU64,
    pub(crate) updates_in: AtomicU64,
    pub(crate) frames_out: AtomicU64,
    pub(crate) bytes_out: AtomicU64,
}

impl State {
    /// A replica that is connected to nothing; the options that concern the link are not used.
    pub fn new(options: &Options) -> Self {
        let mut yrs_options = yrs::Options::with_client_id(ClientID::new(options.client_id.into()));
        yrs_options.offset_kind = OffsetKind::Utf16;
        // It would delete marks while applying what others did, and nobody would be sent that.
        yrs_options.cleanup_formatting = false;
        let doc = Doc::with_options(yrs_options);
        let text = doc.get_or_insert_text(options.root.as_str());
        Self {
            doc,
            text,
            client_id: options.client_id,
            may_have_pairs: AtomicBool::new(false),
            outbox: Mutex::default(),
            presence: Mutex::new(Presence::new(options.client_id.into(), options.presence.clone())),
            outbox_filled: Notify::new(),
            changes: watch::Sender::new(0),
            status: watch::Sender::new(Status::Connecting),
            echo_asked: AtomicU64::new(0),
            echo_heard: AtomicU64::new(0),
            counters: Tally::default(),
            hook: options.on_update.clone(),
        }
    }

    pub(crate) fn client_id(&self) -> u32 {
        self.client_id
    }

    // --- reading ---

    /// The text.
    pub fn text(&self) -> String {
        use yrs::GetString;
        self.text.get_string(&self.doc.transact())
    }

    pub(crate) fn text_len(&self) -> u32 {
        self.text.len(&self.doc.transact())
    }

    /// What this replica holds, as Yjs clocks by client.
    pub fn state_vector(&self) -> StateVector {
        self.doc.transact().state_vector()
    }

    /// The whole document as one v1 update.
    pub fn encode(&self) -> Vec<u8> {
        self.doc.transact().encode_diff_v1(&StateVector::default())
    }

    pub(crate) fn presence(&self) -> BTreeMap<u64, serde_json::Value> {
        self.presence.lock().states()
    }

    pub(crate) fn counters(&self) -> Counters {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Counters {
            connects: read(&self.counters.connects),
            frames_in: read(&self.counters.frames_in),
            bytes_in: read(&self.counters.bytes_in),
            updates_in: read(&self.counters.updates_in),
            frames_out: read(&self.counters.frames_out),
            bytes_out: read(&self.counters.bytes_out),
        }
    }

    // --- editing ---

    /// Runs an edit in one transaction and queues what it changed.
    pub fn edit<R>(&self, edit: impl FnOnce(&mut TransactionMut<'_>, &TextRef) -> R) -> R {
        let result = {
            let mut txn = self.doc.transact_mut();
            let result = edit(&mut txn, &self.text);
            if txn.has_changes() {
                // Before the commit, while the new blocks are still their own: afterwards they are
                // merged into the run before them, and cutting them out again costs by the length
                // of that run.
                let update = txn.encode_update_v1();
                self.note_pairs(&update);
                self.outbox.lock().push_edit(update);
            }
            result
        };
        self.outbox_filled.notify_one();
        self.changed();
        result
    }

    /// Replaces `len` units at `at` by `inserted`, offsets in UTF-16 units, after checking them.
    pub(crate) fn splice(&self, at: u32, len: u32, inserted: &str) -> Result<(), EditError> {
        self.edit(|txn, text| {
            let text_len = text.len(txn);
            let end = at.checked_add(len).filter(|end| *end <= text_len);
            let end = end.ok_or(EditError::OutOfRange { at, len, text_len })?;
            if self.may_have_pairs.load(Ordering::Relaxed) {
                check_boundaries(txn, text, [at, end])?;
            }
            if len > 0 {
                text.remove_range(txn, at, len);
            }
            if !inserted.is_empty() {
                text.insert(txn, at, inserted);
            }
            Ok(())
        })
    }

    /// Takes in an update that came by another way than the link, and passes it on.
    pub(crate) fn apply(&self, update: &[u8]) -> Result<(), ApplyError> {
        self.integrate(update)?;
        self.outbox.lock().push_edit(update.to_vec());
        self.outbox_filled.notify_one();
        Ok(())
    }

    pub(crate) fn set_presence(&self, own: Option<serde_json::Value>) {
        self.presence.lock().set(own);
        self.announce();
        self.changed();
    }

    pub(crate) fn announce(&self) {
        self.outbox.lock().announce = true;
        self.outbox_filled.notify_one();
    }

    /// Keeps the others from taking us for gone.
    pub(crate) fn renew_presence(&self) {
        if self.presence.lock().is_present() {
            self.announce();
        }
        if self.presence.lock().expire(Instant::now()) {
            self.changed();
        }
    }

    // --- acknowledgements ---

    /// Asks for an echo that proves everything up to now durable; returns its number.
    pub fn ask_echo(&self) -> u64 {
        // In the document's lock: an edit made before this call is in the outbox, or in the
        // document that the answer to the server's SyncStep1 will be encoded from.
        let _txn = self.doc.transact();
        let mut outbox = self.outbox.lock();
        let number = self.echo_asked.fetch_add(1, Ordering::Relaxed) + 1;
        outbox.echo = Some(number);
        self.outbox_filled.notify_one();
        number
    }

    /// Whether the echo of this number, or a later one, was heard.
    pub fn has_echo(&self, number: u64) -> bool {
        self.echo_heard.load(Ordering::Acquire) >= number
    }

    // --- the link's side ---

    /// A connection stands: what is said on it starts afresh.
    pub fn opened(&self) {
        self.counters.connects.fetch_add(1, Ordering::Relaxed);
        self.outbox.lock().start();
        self.outbox_filled.notify_one();
        self.set_status(Status::Open);
    }

    /// The connection is gone: an echo that was asked for and not heard is asked for again on the
    /// next one.
    pub fn closed(&self, status: Status) {
        let (asked, heard) =
            (self.echo_asked.load(Ordering::Acquire), self.echo_heard.load(Ordering::Acquire));
        {
            let mut outbox = self.outbox.lock();
            outbox.is_open = false;
            outbox.take_edits();
            outbox.echo = (asked > heard).then_some(asked);
        }
        self.presence.lock().forget_others();
        self.set_status(status);
    }

    pub(crate) fn set_status(&self, status: Status) {
        self.status.send_replace(status);
        self.changed();
    }

    pub(crate) fn status(&self) -> watch::Receiver<Status> {
        self.status.subscribe()
    }

    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// Takes in one WebSocket frame.
    ///
    /// # Errors
    /// When the server sent something malformed; the connection is then useless.
    pub fn receive(&self, bytes: &[u8]) -> Result<(), ApplyError> {
        self.counters.frames_in.fetch_add(1, Ordering::Relaxed);
        self.counters.bytes_in.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        for message in frame::messages(bytes) {
            match message? {
                Message::Step1(vector) => self.receive_question(vector)?,
                Message::Step2(update) => {
                    self.receive_update(update, Arrival::Sync)?;
                    if *self.status.borrow() == Status::Open {
                        self.set_status(Status::Synced);
                    }
                }
                Message::Update(update) => self.receive_update(update, Arrival::Update)?,
                Message::Awareness(said) => self.receive_presence(said)?,
                Message::QueryAwareness => self.announce(),
                Message::AuthDenied(reason) => tracing::warn!(reason, "access denied"),
                Message::Echo(number) => self.receive_echo(number)?,
            }
        }
        Ok(())
    }

    fn receive_question(&self, vector: &[u8]) -> Result<(), ApplyError> {
        scan::state_vector(vector)?;
        let vector = StateVector::decode_v1(vector)
            .map_err(|reason| ApplyError::Refused(reason.to_string()))?;
        {
            let mut outbox = self.outbox.lock();
            outbox.answer = Some(vector);
            outbox.is_open = true;
        }
        self.outbox_filled.notify_one();
        Ok(())
    }

    fn receive_update(&self, update: &[u8], arrival: Arrival) -> Result<(), ApplyError> {
        self.counters.updates_in.fetch_add(1, Ordering::Relaxed);
        let has_gap = self.integrate(update)?;
        if has_gap && arrival == Arrival::Update {
            // A gap in an answer is the server's own (it may hold half of a history); one in an
            // update is ours.
            self.outbox.lock().ask = true;
            self.outbox_filled.notify_one();
        }
        if let Some(hook) = &self.hook {
            hook(arrival, update);
        }
        Ok(())
    }

    fn receive_presence(&self, said: &[u8]) -> Result<(), ApplyError> {
        let said = scan::awareness(said)?;
        let (changed, contested) = self.presence.lock().apply(&said, Instant::now());
        if contested {
            self.announce();
        }
        if changed {
            self.changed();
        }
        Ok(())
    }

    fn receive_echo(&self, number: &[u8]) -> Result<(), ApplyError> {
        let number = varint::Reader::new(number).uint()?;
        self.echo_heard.fetch_max(number, Ordering::AcqRel);
        self.changed();
        Ok(())
    }

    /// Checks and applies an update. Returns whether parts of it were left out, because they stand
    /// on something that is missing.
    fn integrate(&self, update: &[u8]) -> Result<bool, ApplyError> {
        let refused = |reason: &dyn std::fmt::Display| ApplyError::Refused(reason.to_string());
        let update = scan::update(update)?;
        let has_gap = {
            let mut txn = self.doc.transact_mut();
            let held = txn.state_vector();
            let clocks = held.iter().map(|(client, clock)| (client.get(), *clock)).collect();
            // Cut at its gaps, whatever it is: the rest is asked for anyway.
            let plan = plan::plan(&update, Source::Step2, &clocks, &Levels::default())?;
            let Some(plan) = plan else { return Ok(true) };
            self.note_pairs(&plan.bytes);
            let decoded = Update::decode_v1(&plan.bytes).map_err(|reason| refused(&reason))?;
            txn.apply_update(decoded).map_err(|reason| refused(&reason))?;
            plan.has_gap
        };
        self.changed();
        Ok(has_gap)
    }

    /// Everything that is to be said now, as frames of one message each.
    pub fn take_frames(&self, frames: &mut Vec<Vec<u8>>) {
        let txn = self.doc.transact();
        let mut outbox = self.outbox.lock();
        let mut say = |write: &dyn Fn(&mut Vec<u8>)| {
            let mut out = Vec::new();
            write(&mut out);
            frames.push(out);
        };
        if std::mem::take(&mut outbox.ask) {
            let vector = txn.state_vector().encode_v1();
            say(&|out| frame::write_step1(out, &vector));
        }
        if let Some(theirs) = outbox.answer.take() {
            outbox.take_edits();
            outbox.difference = false;
            let missing = txn.encode_diff_v1(&theirs);
            say(&|out| frame::write_step2(out, &missing));
            outbox.theirs = theirs;
        }
        if std::mem::take(&mut outbox.difference) {
            let missing = txn.encode_diff_v1(&outbox.theirs);
            say(&|out| frame::write_update(out, &missing));
        }
        for update in outbox.take_edits() {
            say(&|out| frame::write_update(out, &update));
        }
        if outbox.is_open
            && let Some(number) = outbox.echo.take()
        {
            let mut bytes = Vec::new();
            varint::write_uint(&mut bytes, number);
            say(&|out| frame::write_echo(out, &bytes));
        }
        if std::mem::take(&mut outbox.announce) {
            let mut presence = self.presence.lock();
            if presence.is_present() || presence.was_announced() {
                let payload = presence.announce();
                say(&|out| frame::write_awareness(out, &payload));
            }
        }
        let bytes: usize = frames.iter().map(Vec::len).sum();
        self.counters.frames_out.fetch_add(frames.len() as u64, Ordering::Relaxed);
        self.counters.bytes_out.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// The frame that takes leave, if anybody was told that we are here.
    pub(crate) fn farewell(&self) -> Option<Vec<u8>> {
        let mut presence = self.presence.lock();
        presence.is_present().then(|| {
            let mut out = Vec::new();
            frame::write_awareness(&mut out, &presence.farewell());
            out
        })
    }

    fn changed(&self) {
        self.changes.send_modify(|count| *count += 1);
    }

    /// An update without a byte of 0xF0 or more holds no character that takes two UTF-16 units.
    fn note_pairs(&self, update: &[u8]) {
        if update.iter().any(|byte| *byte >= 0xF0) {
            self.may_have_pairs.store(true, Ordering::Relaxed);
        }
    }
}

/// Refuses offsets between the halves of a character; yrs would replace both halves by U+FFFD.
fn check_boundaries(
    txn: &TransactionMut<'_>,
    text: &TextRef,
    offsets: [u32; 2],
) -> Result<(), EditError> {
    let mut unit = 0;
    for chunk in text.diff(txn, YChange::identity) {
        let Out::Any(yrs::Any::String(chunk)) = chunk.insert else {
            unit += 1; // an embed counts as one
            continue;
        };
        for character in chunk.chars() {
            let width = character.len_utf16() as u32;
            if let Some(at) = offsets.into_iter().find(|at| width == 2 && *at == unit + 1) {
                return Err(EditError::SplitsCharacter { at });
            }
            unit += width;
        }
    }
    Ok(())
}
