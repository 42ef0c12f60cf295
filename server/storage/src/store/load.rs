//! Loading a document, against the witness. Called by `document::load`, `repair` and `verify`.
//! Never returns less than the witness knows of.

use std::collections::BTreeMap;

use sheaf_protocol::ids::DocKey;

use super::keys::heads::{self, Head};
use super::keys::log::{self, LogEntry, Place};
use super::keys::{self, Key, ckpt, lost, owners};
use super::window::digest;
use super::witness::{Chain, Known};
use super::{Error, Owner, Store, value};

/// Everything that is stored of a document.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// Name, epoch, creation.
    pub head: Head,
    /// The newest merged state.
    pub checkpoint: Option<Checkpoint>,
    /// The entries after it, in order.
    pub entries: Vec<LogEntry>,
    /// All claims, oldest first.
    pub owners: Vec<Owner>,
    /// n of the last entry, in the checkpoint or after it; 0 for none.
    pub last_n: u64,
    /// Position of the document's last record, of whatever kind.
    pub last_position: u64,
}

/// A merged state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// n of the last entry in it.
    pub n: u64,
    /// Position of that entry.
    pub position: u64,
    /// The state as one update.
    pub state: Vec<u8>,
}

/// A checkpoint with the digest of the entries in it.
pub(super) type Base = (Checkpoint, [u8; 16]);

impl Store {
    /// Loads a document: all of it, or an error that says what is wrong. Everything that the
    /// journal holds of it must be folded.
    ///
    /// # Errors
    /// `Unknown` when there is no such document; `Damaged` when there is, and the engine does not
    /// have what the witness knows; what the engine reports.
    pub fn load(&self, doc: DocKey) -> Result<Loaded, Error> {
        let known = self.inner.witness.lock().known(doc).cloned();
        let Some(known) = known else {
            return match self.stored_head(doc)? {
                None => Err(Error::Unknown(doc)),
                Some(head) => {
                    let known = Known { name: head.name.into(), ..Known::default() };
                    Err(damaged(doc, &known, 0, "the witness does not know it"))
                }
            };
        };
        let mut reached = 0;
        self.load_known(doc, &known, &mut reached).map_err(|error| match error {
            Error::Corrupt { what, .. } => damaged(doc, &known, reached, what),
            other => other,
        })
    }

    fn load_known(&self, doc: DocKey, known: &Known, reached: &mut u64) -> Result<Loaded, Error> {
        let head = self.stored_head(doc)?.ok_or_else(|| damaged(doc, known, 0, "no head"))?;
        if digest(&head.encode()) != known.mark.head_digest {
            return Err(damaged(doc, known, 0, "the head is not the one that was stored"));
        }
        let base = self.base(doc, known)?;
        let (checkpoint, mut chain) = match base {
            Some((checkpoint, digest)) => (Some(checkpoint), Chain { count: 0, digest }),
            None => (None, Chain::default()),
        };
        *reached = checkpoint.as_ref().map_or(0, |checkpoint| checkpoint.position);
        let from_n = checkpoint.as_ref().map_or(0, |checkpoint| checkpoint.n);
        let entries = self.entries(doc, from_n, u64::MAX, reached)?;
        let mut scratch = Vec::new();
        for entry in &entries {
            push(&mut chain, &mut scratch, entry);
        }
        let last_n = entries.last().map_or(from_n, |entry| entry.n);
        if let Err(what) = compare(last_n, &chain, known) {
            return Err(damaged(doc, known, *reached, &what));
        }
        let owners = self.owners(doc, known)?;
        let last_position = known.mark.last_position;
        Ok(Loaded { head, checkpoint, entries, owners, last_n, last_position })
    }

    pub(super) fn stored_head(&self, doc: DocKey) -> Result<Option<Head>, Error> {
        let key = heads::key(doc);
        let Some(bytes) = value::get_one(self.engine(), &key)? else { return Ok(None) };
        Head::decode(&bytes).map(Some).ok_or_else(|| Error::corrupt(&key, "head"))
    }

    /// The newest usable checkpoint: the witnessed one, or the newest other that is whole, which
    /// the digest of the entries then has to prove.
    fn base(&self, doc: DocKey, known: &Known) -> Result<Option<Base>, Error> {
        let mark = &known.mark;
        if mark.ckpt_n > 0 {
            match self.checkpoint(doc, mark.ckpt_n) {
                Ok(Some(base)) if digest(&base.0.state) == mark.ckpt_digest => {
                    return Ok(Some(base));
                }
                Ok(_) | Err(Error::Corrupt { .. }) => {}
                Err(other) => return Err(other),
            }
        }
        let mut numbers = Vec::new();
        let prefix = keys::doc_prefix(doc, Key::Ckpt);
        let mut from: Option<Vec<u8>> = None;
        loop {
            let pairs = self.engine().scan(&prefix, from.as_deref(), 256)?;
            numbers.extend(pairs.iter().filter_map(|(key, _)| keys::number_of(key)));
            match pairs.into_iter().next_back() {
                Some((key, _)) => from = Some(key),
                None => break,
            }
        }
        numbers.dedup();
        // A state of the witnessed number that failed above is not tried again.
        numbers.retain(|n| *n <= mark.last_n && *n != mark.ckpt_n);
        for n in numbers.into_iter().rev() {
            match self.checkpoint(doc, n) {
                Ok(Some(base)) => return Ok(Some(base)),
                Ok(None) | Err(Error::Corrupt { .. }) => {}
                Err(other) => return Err(other),
            }
        }
        Ok(None)
    }

    /// The stored checkpoint at entry n.
    pub(super) fn checkpoint(&self, doc: DocKey, n: u64) -> Result<Option<Base>, Error> {
        let key = ckpt::key(doc, n);
        let mut base = None;
        value::each_chunked(self.engine(), &key, None, |key, bytes| {
            let (position, digest, state) =
                ckpt::decode(bytes).ok_or_else(|| Error::corrupt(key, "checkpoint"))?;
            base = Some((Checkpoint { n, position, state }, digest));
            Ok(false)
        })?;
        Ok(base)
    }

    /// Entries with `from_n < n <= through_n`, without holes but accepted ones. `reached` follows
    /// the position of the last good entry, for the report when one is not.
    pub(super) fn entries(
        &self,
        doc: DocKey,
        from_n: u64,
        through_n: u64,
        reached: &mut u64,
    ) -> Result<Vec<LogEntry>, Error> {
        let prefix = keys::doc_prefix(doc, Key::Log);
        let after = (from_n > 0).then(|| log::key(doc, from_n));
        let mut entries: Vec<LogEntry> = Vec::new();
        let mut lost = None;
        let mut last_n = from_n;
        value::each_chunked(self.engine(), &prefix, after.as_deref(), |key, group| {
            let start = entries.len();
            log::decode(group, &mut entries).ok_or_else(|| Error::corrupt(key, "group"))?;
            if entries.last().map(|entry| entry.n) != keys::number_of(key) {
                return Err(Error::corrupt(key, "group under the wrong number"));
            }
            let mut keep = start;
            for at in start..entries.len() {
                let n = entries[at].n;
                // A group that was begun before the checkpoint, or folded twice around an error.
                if n <= last_n || n > through_n {
                    continue;
                }
                if n != last_n + 1 && !self.is_lost(doc, last_n + 1, n - 1, &mut lost)? {
                    return Err(Error::corrupt(key, "entries missing before it"));
                }
                last_n = n;
                *reached = entries[at].position;
                entries.swap(keep, at);
                keep += 1;
            }
            entries.truncate(keep);
            Ok(last_n < through_n)
        })?;
        Ok(entries)
    }

    fn is_lost(
        &self,
        doc: DocKey,
        first_n: u64,
        last_n: u64,
        lost: &mut Option<BTreeMap<u64, u64>>,
    ) -> Result<bool, Error> {
        let ranges = match lost {
            Some(ranges) => ranges,
            None => lost.insert(self.lost(doc)?),
        };
        Ok(ranges.range(..=first_n).next_back().is_some_and(|(_, end)| *end >= last_n))
    }

    /// Accepted losses of a document: first n to last n.
    pub(super) fn lost(&self, doc: DocKey) -> Result<BTreeMap<u64, u64>, Error> {
        let mut ranges = BTreeMap::new();
        let prefix = keys::doc_prefix(doc, Key::Lost);
        for (key, _) in self.engine().scan(&prefix, None, usize::MAX)? {
            let bytes = value::get_one(self.engine(), &key)?.unwrap_or_default();
            let range = keys::number_of(&key).zip(lost::decode(&bytes));
            let (first, last) = range.ok_or_else(|| Error::corrupt(&key, "lost range"))?;
            ranges.insert(first, last);
        }
        Ok(ranges)
    }

    fn owners(&self, doc: DocKey, known: &Known) -> Result<Vec<Owner>, Error> {
        let (owners, chain) = self.stored_owners(doc)?;
        if chain != known.mark.claims {
            let what = "the claims of client ids are not those that were stored";
            return Err(damaged(doc, known, known.mark.last_position, what));
        }
        Ok(owners)
    }

    pub(super) fn stored_owners(&self, doc: DocKey) -> Result<(Vec<Owner>, Chain), Error> {
        let mut all = Vec::new();
        let mut chain = Chain::default();
        let mut scratch = Vec::new();
        let prefix = keys::doc_prefix(doc, Key::Owners);
        value::each_chunked(self.engine(), &prefix, None, |key, bytes| {
            let position = keys::number_of(key).unwrap_or_default();
            chain.push(&mut scratch, position, &bytes);
            all.extend(owners::decode(&bytes).ok_or_else(|| Error::corrupt(key, "claims"))?);
            Ok(true)
        })?;
        Ok((all, chain))
    }
}

pub(super) fn push(chain: &mut Chain, scratch: &mut Vec<u8>, entry: &LogEntry) {
    let place = Place {
        n: entry.n,
        position: entry.position,
        stamp: entry.stamp,
        author: entry.author.as_deref(),
    };
    chain.push_entry(scratch, place, &entry.bytes);
}

pub(super) fn damaged(doc: DocKey, known: &Known, position: u64, what: &str) -> Error {
    Error::Damaged {
        vault: doc.vault,
        doc: doc.doc,
        name: known.name.to_string(),
        position,
        what: what.to_owned(),
    }
}

fn compare(last_n: u64, chain: &Chain, known: &Known) -> Result<(), String> {
    let mark = &known.mark;
    if last_n != mark.last_n {
        return Err(format!("it has entries up to {last_n} of {}", mark.last_n));
    }
    if chain.digest != mark.log.digest {
        return Err("its entries are not those that were stored".to_owned());
    }
    Ok(())
}
