//! Updates that a document has accepted and not yet integrated.
//!
//! Job: keep them in order, joining one author's chained appends (same client, next clock, origin
//! = its last character, same right origin, no deletions) into one block. Called by `state`, which
//! integrates all of them in one transaction when somebody looks at the content, or when they are
//! many: an update alone costs the CRDT library 1.6 µs, and several times that when the document
//! has to be brought back into the processor's caches for it. Never joins across authors, never
//! changes what is stored or relayed, and never holds more than a few pages.

use sheaf_protocol::ids::Id;
use sheaf_protocol::scan::{Block, Content};
use sheaf_protocol::varint;
use yrs::updates::decoder::Decode;

/// So many are integrated at once: more save nothing, and this is a tenth of a millisecond.
const UPDATES_MAX: usize = 64;

/// So many bytes are integrated at once, and an update this large right away.
const BYTES_MAX: usize = 16 * 1024;

/// A run grows to this length, and what would make it longer begins another.
const RUN_BYTES_MAX: usize = 4 * 1024;

/// The updates that wait.
#[derive(Debug, Default)]
pub(super) struct Pending {
    bytes: Vec<u8>,
    ends: Vec<u32>,
    /// By place, those that were decoded when they were accepted.
    decoded: Vec<Option<yrs::Update>>,
    run: Option<Run>,
    /// Which of them is being integrated; it stays so when that fails or panics.
    at: Option<usize>,
}

/// A run of chained appends.
#[derive(Debug)]
struct Run {
    client: u64,
    clock: u32,
    /// One past its last clock.
    end: u32,
    right_origin: Option<Id>,
    /// The first block, up to its text.
    head: Vec<u8>,
    text: String,
}

impl Pending {
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty() && self.run.is_none()
    }

    /// True when it is time to integrate them.
    pub fn is_full(&self) -> bool {
        self.ends.len() >= UPDATES_MAX || self.bytes() >= BYTES_MAX
    }

    /// Bytes of all that waits.
    pub fn bytes(&self) -> usize {
        self.bytes.len() + self.run.as_ref().map_or(0, |run| run.text.len())
    }

    /// Adds an update; `insert` is its only block, if that is all it does and all of it is new.
    ///
    /// # Errors
    /// The CRDT library does not decode it, as it does any text: nothing has changed.
    pub fn push(
        &mut self,
        update: &[u8],
        insert: Option<&Block<'_>>,
    ) -> Result<(), yrs::encoding::read::Error> {
        let decoded = match insert {
            Some(_) => None,
            None => Some(yrs::Update::decode_v1(update)?),
        };
        self.close_run();
        match insert {
            Some(block) => self.run = Run::new(block),
            None => {
                self.bytes.extend_from_slice(update);
                self.end(decoded);
            }
        }
        Ok(())
    }

    /// Takes a block that only goes on with the last update.
    pub fn extend(&mut self, block: &Block<'_>) -> bool {
        self.run.as_mut().is_some_and(|run| run.extend(block))
    }

    /// Begins to integrate them. False if there is nothing to do, or it failed before.
    pub fn begin(&mut self) -> bool {
        self.close_run();
        if self.at.is_some() || self.ends.is_empty() {
            return false;
        }
        self.at = Some(0);
        true
    }

    /// The update that is to be integrated now.
    pub fn next(&mut self) -> Option<Result<yrs::Update, yrs::encoding::read::Error>> {
        let at = self.at?;
        let decoded = self.decoded.get_mut(at)?.take();
        decoded.map(Ok).or_else(|| self.get(at).map(yrs::Update::decode_v1))
    }

    /// It is integrated.
    pub fn done(&mut self) {
        self.at = self.at.map(|at| at + 1);
    }

    /// The update that is being integrated, or was when that failed.
    pub fn culprit(&self) -> Option<&[u8]> {
        self.get(self.at?)
    }

    /// All have been integrated.
    pub fn clear(&mut self) {
        self.at = None;
        self.ends.clear();
        self.decoded.clear();
        self.bytes.clear();
        if self.bytes.capacity() > BYTES_MAX {
            self.bytes = Vec::new();
        }
    }

    fn close_run(&mut self) {
        if let Some(run) = self.run.take() {
            run.write(&mut self.bytes);
            self.end(None);
        }
    }

    fn get(&self, at: usize) -> Option<&[u8]> {
        let start = at.checked_sub(1).map_or(0, |before| self.ends[before] as usize);
        self.ends.get(at).map(|end| &self.bytes[start..*end as usize])
    }

    fn end(&mut self, decoded: Option<yrs::Update>) {
        self.decoded.push(decoded);
        self.ends.push(u32::try_from(self.bytes.len()).expect("a few messages at the most"));
    }
}

impl Run {
    fn new(block: &Block<'_>) -> Option<Self> {
        let Content::String(text) = block.content else { return None };
        let head = block.bytes.len() - block.content_bytes().len();
        Some(Self {
            client: block.id.client,
            clock: block.id.clock,
            end: block.end(),
            right_origin: block.right_origin,
            head: block.bytes[..head].to_vec(),
            text: text.to_owned(),
        })
    }

    fn extend(&mut self, block: &Block<'_>) -> bool {
        let last = Id { client: self.client, clock: self.end - 1 };
        let is_next = block.id == Id { client: self.client, clock: self.end }
            && block.goes_on(last, self.right_origin);
        let Content::String(text) = block.content else { return false };
        if !is_next || self.text.len() + text.len() > RUN_BYTES_MAX {
            return false;
        }
        self.text.push_str(text);
        self.end = block.end();
        true
    }

    /// Appends the run as one update.
    fn write(&self, out: &mut Vec<u8>) {
        varint::write_uint(out, 1);
        varint::write_uint(out, 1);
        varint::write_uint(out, self.client);
        varint::write_uint(out, u64::from(self.clock));
        out.extend_from_slice(&self.head);
        varint::write_text(out, &self.text);
        varint::write_uint(out, 0);
    }
}
