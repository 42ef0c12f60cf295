//! The latest updates of one document, shared by all who read it.
//!
//! Job: a bounded run of chunks, each framed once per dialect, that readers walk with cursors.
//! Called by `readers`, under its lock. Never grows past its bound for a slow reader: that one gets
//! a state difference instead.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use sheaf_protocol::limits;

use super::fanout::{Frames, Framing, Piece};
use super::readers::ReaderId;

/// The first clock that some updates add, per client id; an id may stand in it twice.
#[derive(Debug, Default)]
pub struct Firsts {
    /// Most submissions have one author: that takes no allocation.
    first: Option<(u64, u32)>,
    rest: Vec<(u64, u32)>,
}

impl Firsts {
    /// Adds the first of a run of clocks.
    pub fn note(&mut self, client: u64, clock: u32) {
        let Some(first) = &mut self.first else {
            self.first = Some((client, clock));
            return;
        };
        let latest = self.rest.last_mut().unwrap_or(first);
        if latest.0 == client {
            latest.1 = clock.min(latest.1);
        } else {
            self.rest.push((client, clock));
        }
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = (u64, u32)> {
        self.first.iter().chain(&self.rest).copied()
    }
}

/// The updates of one submission, or a note from one reader to the others.
#[derive(Debug)]
pub struct Chunk {
    start: u64,
    origin: Option<ReaderId>,
    bytes: Vec<u8>,
    /// Where each update ends; none in a note, which stands behind a byte of no meaning: an empty
    /// one has a place in the run, too.
    ends: Vec<u32>,
    frames: Frames,
    firsts: Firsts,
}

impl Chunk {
    /// Who submitted it; that reader is not sent it.
    pub fn origin(&self) -> Option<ReaderId> {
        self.origin
    }

    /// Place of the chunk in the document's stream.
    pub fn start(&self) -> u64 {
        self.start
    }

    fn end(&self) -> u64 {
        self.start + self.bytes.len() as u64
    }

    /// The updates in order.
    pub fn iter(&self) -> impl Iterator<Item = &[u8]> {
        let mut start = 0;
        self.ends.iter().map(move |&end| {
            let update = &self.bytes[start..end as usize];
            start = end as usize;
            update
        })
    }

    /// What is missed by who does not get it.
    pub fn firsts(&self) -> &Firsts {
        &self.firsts
    }
}

impl Piece for Chunk {
    fn framed(&self, framing: &dyn Framing) -> Cow<'_, Bytes> {
        self.frames.of(framing, |out| {
            if self.ends.is_empty() {
                return framing.frame_note(&self.bytes[1..], out);
            }
            out.reserve(self.bytes.len() + self.ends.len() * 12);
            self.iter().for_each(|update| framing.frame_update(update, out));
        })
    }

    fn updates(&self) -> usize {
        self.ends.len()
    }
}

/// The shared run of chunks.
#[derive(Debug, Default)]
pub struct Tail {
    chunks: VecDeque<Arc<Chunk>>,
    end: u64,
    bytes: usize,
}

impl Tail {
    /// Where the next chunk will start; a reader that is here has everything.
    pub fn end(&self) -> u64 {
        self.end
    }

    /// Bytes of updates it holds.
    #[cfg(test)]
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Appends the updates of one submission.
    pub fn push<'u>(
        &mut self,
        origin: Option<ReaderId>,
        updates: impl Iterator<Item = &'u [u8]>,
        firsts: Firsts,
    ) -> Arc<Chunk> {
        let (mut bytes, mut ends) = (Vec::new(), Vec::new());
        for update in updates {
            bytes.extend_from_slice(update);
            ends.push(u32::try_from(bytes.len()).expect("a submission is bounded by a message"));
        }
        self.add(Chunk { start: self.end, origin, bytes, ends, frames: Frames::default(), firsts })
    }

    /// Appends a note; nothing keeps it, and who is too far behind does not get it.
    pub fn push_note(&mut self, origin: ReaderId, note: &str) -> Arc<Chunk> {
        let bytes = [&[0], note.as_bytes()].concat();
        let (start, ends) = (self.end, Vec::new());
        let (frames, firsts) = (Frames::default(), Firsts::default());
        self.add(Chunk { start, origin: Some(origin), bytes, ends, frames, firsts })
    }

    fn add(&mut self, chunk: Chunk) -> Arc<Chunk> {
        let chunk = Arc::new(chunk);
        self.end = chunk.end();
        self.bytes += chunk.bytes.len();
        self.chunks.push_back(Arc::clone(&chunk));
        chunk
    }

    /// The chunks from a cursor on, without those that `reader` submitted.
    pub fn since(&self, cursor: u64, reader: ReaderId, out: &mut Vec<Arc<Chunk>>) {
        let first = self.chunks.partition_point(|chunk| chunk.start < cursor);
        let chunks = self.chunks.range(first..);
        out.extend(chunks.filter(|chunk| chunk.origin != Some(reader)).cloned());
    }

    /// Drops what every reader has.
    pub fn clear_before(&mut self, cursor: u64) {
        while self.chunks.front().is_some_and(|chunk| chunk.start < cursor) {
            self.drop_first();
        }
    }

    /// Drops the oldest chunk if the tail is over its bound; the last one always stays.
    pub fn overflow(&mut self) -> Option<Arc<Chunk>> {
        (self.bytes > limits::TAIL_BYTES_MAX && self.chunks.len() > 1).then(|| self.drop_first())
    }

    fn drop_first(&mut self) -> Arc<Chunk> {
        let chunk = self.chunks.pop_front().expect("the caller has seen a first chunk");
        self.bytes -= chunk.bytes.len();
        chunk
    }
}
