//! What the witness says of a document, and the bytes it says it in. Used by `witness` alone.
//! Never trusts a length it has not compared with what is there.

use sheaf_protocol::ids::{DocId, DocKey, VaultName, VaultNo};
use sheaf_protocol::stamp::Stamp;

use super::News;
use crate::store::codec::{Reader, put_text, put_varint};
use crate::store::keys::log::Place;
use crate::store::keys::meta::Folded;

/// What a statement has of the end of the fold: all but the stamp.
const FOLDED_BYTES: usize = 20;

/// Length and CRC before every statement.
const FRAME_BYTES: usize = 8;

/// In place of the flag that says whether a document is deleted: it is forgotten. Written by stored
/// format 4 and later.
const GONE: u8 = 2;

/// A running digest: of the entries of a document, its claims, or what was laid aside.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Chain {
    /// How many links there are.
    pub count: u64,
    /// First 16 bytes of BLAKE3 over the digest before and the link.
    pub digest: [u8; 16],
}

impl Chain {
    /// Adds an entry of the log.
    pub fn push_entry(&mut self, scratch: &mut Vec<u8>, place: Place<'_>, bytes: &[u8]) {
        scratch.clear();
        scratch.extend_from_slice(&self.digest);
        scratch.extend_from_slice(&place.n.to_le_bytes());
        scratch.extend_from_slice(&place.position.to_le_bytes());
        scratch.extend_from_slice(&place.stamp.to_bytes());
        let author = place.author.unwrap_or("");
        let tag = author.len() as u32 * 2 + u32::from(place.author.is_some());
        scratch.extend_from_slice(&tag.to_le_bytes());
        scratch.extend_from_slice(author.as_bytes());
        scratch.extend_from_slice(bytes);
        self.close(scratch);
    }

    /// Adds bytes that stood at a position.
    pub fn push(&mut self, scratch: &mut Vec<u8>, position: u64, bytes: &[u8]) {
        scratch.clear();
        scratch.extend_from_slice(&self.digest);
        scratch.extend_from_slice(&position.to_le_bytes());
        scratch.extend_from_slice(bytes);
        self.close(scratch);
    }

    fn close(&mut self, scratch: &[u8]) {
        self.digest.copy_from_slice(&blake3::hash(scratch).as_bytes()[..16]);
        self.count += 1;
    }
}

/// What must be in the engine for one document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Mark {
    /// n of the last entry; 0 for none.
    pub last_n: u64,
    /// Position of the last record of the document, of whatever kind.
    pub last_position: u64,
    /// Digest of all entries since the first; `count` may be below `last_n` after accepted losses.
    pub log: Chain,
    /// Digest of the claims.
    pub claims: Chain,
    /// Digest of what was laid aside.
    pub aside: Chain,
    /// n of the newest checkpoint; 0 for none.
    pub ckpt_n: u64,
    /// First 8 bytes of BLAKE3 over its state.
    pub ckpt_digest: u64,
    /// First 8 bytes of BLAKE3 over the stored head; 0 for none.
    pub head_digest: u64,
}

/// A mark and the document's name, so that damage can be reported by name.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Known {
    /// What must be in the engine.
    pub mark: Mark,
    /// The document's name; of a deleted one its last.
    pub name: Box<str>,
    /// Deleted: its name is free, its log is kept.
    pub is_deleted: bool,
}

/// What must be known of a vault.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownVault {
    /// Its name.
    pub name: VaultName,
    /// Its number.
    pub number: VaultNo,
    /// Its epoch; 0 while none is known.
    pub epoch: u64,
    /// The highest seq that was given out.
    pub seq: u64,
}

/// The versions of the file's layout that are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Layout {
    /// Vaults by name and number, documents without flags.
    First,
    /// What `frame` writes.
    Second,
}

/// One append, read back.
#[derive(Debug)]
pub(super) struct Statement {
    pub(super) seq: u64,
    pub(super) news: News,
}

/// Appends a statement: length u32, CRC32C u32 of what follows, seq u64, folded 20 bytes, highest
/// vault number u32, vaults, deleted vaults, documents. Of a document that is forgotten there is
/// nothing behind its flag, and all such stand behind the others.
pub(super) fn frame(out: &mut Vec<u8>, seq: u64, news: &News) {
    let start = out.len();
    out.extend_from_slice(&[0; FRAME_BYTES]);
    out.extend_from_slice(&seq.to_le_bytes());
    out.extend_from_slice(&news.folded.encode()[..FOLDED_BYTES]);
    out.extend_from_slice(&news.last_vault.0.to_le_bytes());
    put_varint(out, news.vaults.len() as u64);
    for vault in &news.vaults {
        put_text(out, vault.name.as_str());
        out.extend_from_slice(&vault.number.0.to_le_bytes());
        out.extend_from_slice(&vault.epoch.to_le_bytes());
        put_varint(out, vault.seq);
    }
    put_varint(out, news.dropped.len() as u64);
    for number in &news.dropped {
        out.extend_from_slice(&number.0.to_le_bytes());
    }
    put_varint(out, (news.docs.len() + news.gone.len()) as u64);
    let put_key = |out: &mut Vec<u8>, doc: &DocKey, flag: u8| {
        out.extend_from_slice(&doc.vault.0.to_le_bytes());
        out.extend_from_slice(&doc.doc.0.to_bytes());
        out.push(flag);
    };
    for (doc, known) in &news.docs {
        put_key(out, doc, u8::from(known.is_deleted));
        put_text(out, &known.name);
        put_mark(out, &known.mark);
    }
    news.gone.iter().for_each(|doc| put_key(out, doc, GONE));
    let (len, crc) =
        ((out.len() - start - FRAME_BYTES) as u32, crc32c::crc32c(&out[start + FRAME_BYTES..]));
    out[start..start + 4].copy_from_slice(&len.to_le_bytes());
    out[start + 4..start + 8].copy_from_slice(&crc.to_le_bytes());
}

impl Statement {
    /// The statement at the start of `bytes` and its length; `None` when there is no whole one.
    pub(super) fn read(bytes: &[u8], layout: Layout) -> Option<(Self, usize)> {
        let mut reader = Reader::new(bytes);
        let len = usize::try_from(reader.u32()?).ok()?;
        let crc = reader.u32()?;
        let body = reader.take(len)?;
        if crc32c::crc32c(body) != crc {
            return None;
        }
        Some((Self::decode(body, layout)?, FRAME_BYTES + len))
    }

    /// Whether a whole statement later than `seq` starts anywhere in `bytes`.
    pub(super) fn follows(bytes: &[u8], seq: u64, layout: Layout) -> bool {
        // Far more statements than one file gets before it is rewritten.
        const AHEAD_MAX: u64 = 1 << 24;
        (0..bytes.len()).any(|at| {
            let mut reader = Reader::new(&bytes[at..]);
            let found = reader.u32().zip(reader.u32()).and_then(|_| reader.u64());
            found.is_some_and(|found| found.wrapping_sub(seq) < AHEAD_MAX)
                && Self::read(&bytes[at..], layout).is_some()
        })
    }

    fn decode(body: &[u8], layout: Layout) -> Option<Self> {
        let mut reader = Reader::new(body);
        let seq = reader.u64()?;
        let folded = Folded::decode(reader.take(FOLDED_BYTES)?)?;
        let mut news = News { folded, ..News::default() };
        let is_first = layout == Layout::First;
        if !is_first {
            news.last_vault = VaultNo(reader.u32()?);
        }
        for _ in 0..reader.varint()? {
            let name = reader.text()?.parse().ok()?;
            let number = VaultNo(reader.u32()?);
            let (epoch, seq) = if is_first { (0, 0) } else { (reader.u64()?, reader.varint()?) };
            news.vaults.push(KnownVault { name, number, epoch, seq });
        }
        for _ in 0..if is_first { 0 } else { reader.varint()? } {
            news.dropped.push(VaultNo(reader.u32()?));
        }
        for _ in 0..reader.varint()? {
            let vault = VaultNo(reader.u32()?);
            let doc = DocId(Stamp::from_bytes(reader.array()?));
            let is_deleted = match if is_first { 0 } else { reader.u8()? } {
                0 => false,
                1 => true,
                GONE => {
                    news.gone.push(DocKey { vault, doc });
                    continue;
                }
                _ => return None,
            };
            let name = reader.text()?.into();
            let mark = read_mark(&mut reader)?;
            news.docs.push((DocKey { vault, doc }, Known { mark, name, is_deleted }));
        }
        reader.is_empty().then_some(Self { seq, news })
    }
}

fn put_mark(out: &mut Vec<u8>, mark: &Mark) {
    for number in [mark.last_n, mark.last_position, mark.ckpt_n] {
        put_varint(out, number);
    }
    for number in [mark.ckpt_digest, mark.head_digest] {
        out.extend_from_slice(&number.to_le_bytes());
    }
    for chain in [mark.log, mark.claims, mark.aside] {
        put_varint(out, chain.count);
        if chain.count > 0 {
            out.extend_from_slice(&chain.digest);
        }
    }
}

fn read_mark(reader: &mut Reader<'_>) -> Option<Mark> {
    let (last_n, last_position, ckpt_n) = (reader.varint()?, reader.varint()?, reader.varint()?);
    let (ckpt_digest, head_digest) = (reader.u64()?, reader.u64()?);
    let mut chain = || -> Option<Chain> {
        let count = reader.varint()?;
        let digest = if count > 0 { reader.array()? } else { [0; 16] };
        Some(Chain { count, digest })
    };
    let (log, claims, aside) = (chain()?, chain()?, chain()?);
    Some(Mark { last_n, last_position, log, claims, aside, ckpt_n, ckpt_digest, head_digest })
}
