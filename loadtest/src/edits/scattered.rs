//! Edits that do not chain: several authors insert at random places of a text and delete older
//! pieces of it.
//!
//! The places come from a model of the text (a list of pieces), not from a CRDT, and the updates
//! are written by hand: a tenth of a microsecond each. One stream serves all documents of a run,
//! which differ only in the tokens' times.

use std::collections::VecDeque;

use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use sheaf_protocol::varint::{write_text, write_uint};

use super::token::{ROOT, TOKEN_BYTES, Token};
use super::{HAS_ORIGIN, HAS_RIGHT_ORIGIN, STRING};

const AUTHORS: u32 = 4;
/// Letters that are there before the first edit.
const BASE_LEN: u32 = 4_096;
/// An insertion's token stays whole until so many later edits were made: no server joins so many,
/// so readers find it in one piece.
const WHOLE_EDITS: usize = 4_096;
/// One edit in so many also deletes.
const DELETES_EVERY: u32 = 3;
/// At most so many letters.
const DELETED_LEN_MAX: u32 = 24;
/// Made at a time when the clock already runs.
const LATE_EDITS: usize = 1_024;

/// A run of letters of one author. Pieces form a list in the order of the text.
#[derive(Debug, Clone, Copy)]
struct Piece {
    author: u32,
    clock: u32,
    len: u32,
    next: Option<u32>,
    is_deleted: bool,
}

/// Updates without their times, in order, and the model to make more of.
#[derive(Debug)]
pub(crate) struct Stream {
    random: SmallRng,
    clients: [u32; AUTHORS as usize],
    clocks: [u32; AUTHORS as usize],
    pieces: Vec<Piece>,
    /// The pieces of each edit that is too young to be cut, oldest first; older ones are in reach.
    young: VecDeque<u32>,
    /// Pieces that may be cut and deleted.
    old: Vec<u32>,
    base: Vec<u8>,
    bytes: Vec<u8>,
    /// Where each update ends in `bytes`, and where its token lies in it.
    edits: Vec<(usize, u32)>,
    premade: usize,
}

impl Stream {
    pub(crate) fn new(seed: u64) -> Self {
        let mut random = SmallRng::seed_from_u64(seed);
        let first: u32 = random.random_range(1..u32::MAX - AUTHORS);
        let clients = std::array::from_fn(|author| first + author as u32);
        let text: String = (0..BASE_LEN).map(|at| char::from(b'a' + (at % 26) as u8)).collect();
        let mut base = vec![1, 1];
        write_uint(&mut base, u64::from(clients[0]));
        base.extend([0, STRING, 1]);
        write_text(&mut base, ROOT);
        write_text(&mut base, &text);
        base.push(0);
        let piece = Piece { author: 0, clock: 0, len: BASE_LEN, next: None, is_deleted: false };
        let mut clocks = [0; AUTHORS as usize];
        clocks[0] = BASE_LEN;
        Self {
            random,
            clients,
            clocks,
            pieces: vec![piece],
            young: VecDeque::new(),
            old: vec![0],
            base,
            bytes: Vec::new(),
            edits: Vec::new(),
            premade: 0,
        }
    }

    /// The update that must come first.
    pub(crate) fn base(&self) -> &[u8] {
        &self.base
    }

    /// Makes edits until there are so many.
    pub(crate) fn extend_to(&mut self, count: usize) {
        while self.edits.len() < count {
            self.make();
        }
        self.premade = self.premade.max(count);
    }

    /// Edits that were made later than beforehand.
    pub(crate) fn late(&self) -> usize {
        self.edits.len() - self.premade
    }

    /// Appends the update of edit `token.number` with this token.
    pub(crate) fn write(&mut self, token: Token, out: &mut Vec<u8>) {
        let number = token.number as usize;
        if number >= self.edits.len() {
            for _ in 0..LATE_EDITS {
                self.make();
            }
        }
        let start = number.checked_sub(1).map_or(0, |before| self.edits[before].0);
        let (end, at) = self.edits[number];
        let from = out.len() + at as usize;
        out.extend_from_slice(&self.bytes[start..end]);
        out[from..from + TOKEN_BYTES].copy_from_slice(&token.bytes());
    }

    /// One more edit.
    fn make(&mut self) {
        let author = self.random.random_range(0..AUTHORS);
        let clock = self.clocks[author as usize];
        let (origin, right) = self.place();
        self.clocks[author as usize] += TOKEN_BYTES as u32;
        let next = self.pieces[origin as usize].next;
        let piece =
            self.push(Piece { author, clock, len: TOKEN_BYTES as u32, next, is_deleted: false });
        self.pieces[origin as usize].next = Some(piece);
        self.young.push_back(piece);
        if self.young.len() > WHOLE_EDITS {
            self.old.extend(self.young.pop_front());
        }
        let deleted = match self.random.random_range(0..DELETES_EVERY) {
            0 => self.delete(),
            _ => None,
        };
        self.encode(piece, origin, right, deleted);
    }

    /// A random place: the piece to its left, cut there, and the one to its right.
    fn place(&mut self) -> (u32, Option<u32>) {
        let left = self.old[self.random.random_range(0..self.old.len())];
        let len = self.pieces[left as usize].len;
        let cut = self.random.random_range(1..=len);
        self.cut(left, cut);
        (left, self.pieces[left as usize].next)
    }

    /// Deletes a piece of old text.
    fn delete(&mut self) -> Option<u32> {
        let at = self.random.random_range(0..self.old.len());
        let piece = self.old[at];
        if self.pieces[piece as usize].is_deleted {
            return None;
        }
        let len = self.random.random_range(1..=DELETED_LEN_MAX);
        self.cut(piece, len);
        self.pieces[piece as usize].is_deleted = true;
        Some(piece)
    }

    /// Cuts a piece after its first `len` letters, if it has more.
    fn cut(&mut self, at: u32, len: u32) {
        let piece = self.pieces[at as usize];
        if len >= piece.len {
            return;
        }
        let rest = Piece { clock: piece.clock + len, len: piece.len - len, ..piece };
        let rest = self.push(rest);
        self.old.push(rest);
        let piece = &mut self.pieces[at as usize];
        (piece.len, piece.next) = (len, Some(rest));
    }

    fn push(&mut self, piece: Piece) -> u32 {
        self.pieces.push(piece);
        self.pieces.len() as u32 - 1
    }

    fn encode(&mut self, piece: u32, origin: u32, right: Option<u32>, deleted: Option<u32>) {
        let out = &mut self.bytes;
        let start = out.len();
        let (piece, origin) = (self.pieces[piece as usize], self.pieces[origin as usize]);
        let client = |piece: Piece| u64::from(self.clients[piece.author as usize]);
        out.extend([1, 1]);
        write_uint(out, client(piece));
        write_uint(out, u64::from(piece.clock));
        out.push(STRING | HAS_ORIGIN | if right.is_some() { HAS_RIGHT_ORIGIN } else { 0 });
        write_uint(out, client(origin));
        write_uint(out, u64::from(origin.clock + origin.len - 1));
        if let Some(right) = right {
            let right = self.pieces[right as usize];
            write_uint(out, client(right));
            write_uint(out, u64::from(right.clock));
        }
        out.push(TOKEN_BYTES as u8);
        let at = out.len() - start;
        out.extend([b'~'; TOKEN_BYTES]);
        match deleted.map(|deleted| self.pieces[deleted as usize]) {
            None => out.push(0),
            Some(deleted) => {
                out.push(1);
                write_uint(out, client(deleted));
                out.push(1);
                write_uint(out, u64::from(deleted.clock));
                write_uint(out, u64::from(deleted.len));
            }
        }
        self.edits.push((out.len(), at as u32));
    }
}

#[cfg(test)]
mod tests;
