//! Accepting a loss: what an operator does with a damaged document when there is no backup. Called
//! by `journal::repair`, on a stopped server.
//! Never throws away what can still be read.

use std::ops::RangeInclusive;

use sheaf_protocol::ids::DocKey;

use super::engine::Batch;
use super::keys::floors::Floor;
use super::keys::heads::{self, Head};
use super::keys::log::{self, Group, Place};
use super::keys::{self, Key, floors, lost, paths, vaults};
use super::load::push;
use super::window::digest;
use super::witness::{Chain, Known, KnownVault, Mark, News};
use super::{Error, Store, value};

/// What was accepted as lost.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Loss {
    /// Entries that are gone, by n.
    pub entries: Vec<RangeInclusive<u64>>,
    /// The newest merged state is gone, or was not usable.
    pub is_checkpoint_lost: bool,
    /// Name and epoch were gone; the name is the witness's, the epoch the one given.
    pub is_head_lost: bool,
    /// Claims of client ids are gone: those ids can be claimed anew.
    pub are_claims_lost: bool,
    /// Quarantined or kept bytes are gone.
    pub are_asides_lost: bool,
}

impl Loss {
    /// Whether nothing was lost.
    #[must_use]
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }
}

impl Store {
    /// Makes a damaged document loadable with what is left of it, and says what is not. `epoch` is
    /// used only where the stored one is gone. The journal must be folded.
    ///
    /// # Errors
    /// `Unknown`; what engine and witness report.
    pub fn accept_loss(&self, doc: DocKey, epoch: u64) -> Result<Loss, Error> {
        let known = self.inner.witness.lock().known(doc).cloned().ok_or(Error::Unknown(doc))?;
        let mut loss = Loss::default();
        let mut batch = Batch::default();
        let mut mark = known.mark;
        let name = self.accept_head(doc, (&known, epoch), &mut mark, (&mut batch, &mut loss))?;
        self.accept_entries(doc, &mut mark, (&mut batch, &mut loss))?;
        for (kind, chain, is_lost) in [
            (Key::Owners, &mut mark.claims, &mut loss.are_claims_lost),
            (Key::Aside, &mut mark.aside, &mut loss.are_asides_lost),
        ] {
            let found = self.accept_chain(doc, kind, &mut batch)?;
            *is_lost = found != *chain;
            *chain = found;
        }
        self.engine().apply(&batch)?;
        self.engine().sync()?;
        let mut witness = self.inner.witness.lock();
        let folded = witness.folded();
        let known = Known { mark, name: name.into(), is_deleted: known.is_deleted };
        witness.append(News { folded, docs: vec![(doc, known)], ..News::default() })?;
        Ok(loss)
    }

    /// Brings a witness that is behind, or has lost statements, up to what the engine holds. Where
    /// the engine holds less, or other than the witness knew, the witness is left to say so.
    ///
    /// # Errors
    /// What engine and witness report.
    pub fn rebuild_witness(&self) -> Result<(), Error> {
        let mut news = News { folded: self.folded()?, ..News::default() };
        let mut from: Option<Vec<u8>> = None;
        loop {
            let pairs = self.engine().scan(&[], from.as_deref(), 512)?;
            for (key, _) in &pairs {
                match (Key::of(key), keys::doc_of(key)) {
                    (Some(Key::Heads), Some(doc)) => news.docs.extend(self.rebuilt(doc)?),
                    (Some(Key::Vaults), _) => {
                        let number = value::get_one(self.engine(), key).ok().flatten();
                        let number = number.and_then(|bytes| vaults::decode(&bytes));
                        let known = |(name, number)| {
                            let facts = self.facts(number).ok().flatten();
                            let (epoch, seq) = facts.map_or((0, 0), |it| (it.epoch, it.seq));
                            KnownVault { name, number, epoch, seq }
                        };
                        news.vaults.extend(vaults::name(key).zip(number).map(known));
                    }
                    _ => {}
                }
            }
            match pairs.into_iter().next_back() {
                Some((key, _)) => from = Some(key),
                None => break,
            }
        }
        let mut witness = self.inner.witness.lock();
        news.folded.presence = news.folded.presence.max(witness.folded().presence);
        witness.append(news)
    }

    /// What the witness should say of a document; `None` where it should say what it says.
    fn rebuilt(&self, doc: DocKey) -> Result<Option<(DocKey, Known)>, Error> {
        let known = self.inner.witness.lock().known(doc).cloned();
        let Ok(Some(head)) = self.stored_head(doc) else { return Ok(None) };
        let (name, is_deleted) = (head.name.as_str().into(), head.is_deleted);
        let base = Known { name, is_deleted, ..Known::default() };
        let before = known.unwrap_or(base);
        let mut now = before.clone();
        now.mark.head_digest = digest(&head.encode());
        match self.follow(doc, &mut now.mark) {
            Ok(true) => Ok(Some((doc, now))),
            // Not what the witness knew, or not readable: a load will find the difference.
            Ok(false) | Err(Error::Corrupt { .. }) => {
                now.mark = before.mark;
                now.mark.head_digest = digest(&head.encode());
                now.mark.last_n = now.mark.last_n.max(1);
                Ok(Some((doc, now)))
            }
            Err(other) => Err(other),
        }
    }

    /// Moves a mark forward to what the engine holds; `false` when that does not contain the mark.
    fn follow(&self, doc: DocKey, mark: &mut Mark) -> Result<bool, Error> {
        let newest = self.numbers(doc, Key::Ckpt)?.into_iter().next_back();
        let base = newest.map_or(Ok(None), |n| self.checkpoint(doc, n))?;
        let (mut last_n, start) = base.as_ref().map_or((0, [0; 16]), |(at, sum)| (at.n, *sum));
        let mut chain = Chain { count: last_n, digest: start };
        let mut has_met =
            mark.last_n < last_n || (mark.last_n == last_n && mark.log.digest == start);
        let mut scratch = Vec::new();
        for entry in self.entries(doc, last_n, u64::MAX, &mut 0)? {
            push(&mut chain, &mut scratch, &entry);
            last_n = entry.n;
            mark.last_position = mark.last_position.max(entry.position);
            has_met |= entry.n == mark.last_n && chain.digest == mark.log.digest;
        }
        let (claims, asides) = (self.stored_owners(doc)?.1, self.stored_asides(doc)?.1);
        let is_less = claims.count < mark.claims.count || asides.count < mark.aside.count;
        if !has_met || is_less {
            return Ok(false);
        }
        (mark.last_n, mark.log, mark.claims, mark.aside) = (last_n, chain, claims, asides);
        mark.ckpt_n = base.as_ref().map_or(0, |(at, _)| at.n);
        mark.ckpt_digest = base.as_ref().map_or(0, |(at, _)| digest(&at.state));
        Ok(true)
    }

    fn accept_head(
        &self,
        doc: DocKey,
        (known, epoch): (&Known, u64),
        mark: &mut Mark,
        (batch, loss): (&mut Batch, &mut Loss),
    ) -> Result<String, Error> {
        let stored = match self.stored_head(doc) {
            Ok(Some(head)) if *head.name == *known.name && head.is_deleted == known.is_deleted => {
                Some(head)
            }
            Ok(_) | Err(Error::Corrupt { .. }) => None,
            Err(other) => return Err(other),
        };
        loss.is_head_lost =
            stored.as_ref().map(|head| digest(&head.encode())) != Some(mark.head_digest);
        let head = stored.unwrap_or_else(|| {
            let name = match &*known.name {
                "" => format!("recovered/{}", doc.doc),
                name => name.to_owned(),
            };
            Head { name, epoch, created: doc.doc.0, is_deleted: known.is_deleted }
        });
        mark.head_digest = digest(&head.encode());
        value::put_one(batch, &heads::key(doc), &head.encode())?;
        if !head.is_deleted {
            let path = paths::key(doc.vault, &head.name);
            value::put_one(batch, &path, &paths::encode(doc.doc))?;
        }
        Ok(head.name)
    }

    /// Rewrites the log as the entries that can be read, and the rest as lost.
    fn accept_entries(
        &self,
        doc: DocKey,
        mark: &mut Mark,
        (batch, loss): (&mut Batch, &mut Loss),
    ) -> Result<(), Error> {
        let witnessed = mark.ckpt_n;
        let mut base = None;
        for n in self.numbers(doc, Key::Ckpt)?.into_iter().rev() {
            match self.checkpoint(doc, n) {
                Ok(Some(found)) if n <= mark.last_n => {
                    base = Some(found);
                    break;
                }
                Ok(_) | Err(Error::Corrupt { .. }) => {}
                Err(other) => return Err(other),
            }
        }
        loss.is_checkpoint_lost =
            witnessed != base.as_ref().map_or(0, |(checkpoint, _)| checkpoint.n);
        let (from_n, start) = base.as_ref().map_or((0, [0; 16]), |(at, digest)| (at.n, *digest));
        mark.ckpt_n = from_n;
        mark.ckpt_digest = base.as_ref().map_or(0, |(at, _)| digest(&at.state));
        let mut chain = Chain { count: from_n, digest: start };
        let (mut scratch, mut last_n) = (Vec::new(), from_n);
        let mut group = Group::default();
        let accepted = self.lost(doc)?;
        for number in self.numbers(doc, Key::Log)? {
            let entries = self.readable(doc, number)?;
            self.delete_value(&log::key(doc, number), batch)?;
            let done_n = last_n;
            for entry in entries.iter().filter(|entry| entry.n > done_n) {
                if entry.n > last_n + 1 && !accepted.contains_key(&(last_n + 1)) {
                    lose(doc, last_n + 1..=entry.n - 1, (batch, loss))?;
                }
                push(&mut chain, &mut scratch, entry);
                last_n = entry.n;
                let place = Place {
                    n: entry.n,
                    position: entry.position,
                    stamp: entry.stamp,
                    author: entry.author.as_deref(),
                };
                if !group.push(place, &entry.bytes) {
                    value::put_chunked(batch, &log::key(doc, group.last_n()), &group.encode())?;
                    group = Group::default();
                    group.push(place, &entry.bytes);
                }
            }
        }
        if !group.is_empty() {
            value::put_chunked(batch, &log::key(doc, group.last_n()), &group.encode())?;
        }
        // At the end no hole stays behind: the next entry takes the first number that is gone.
        if last_n < mark.last_n {
            loss.entries.push(last_n + 1..=mark.last_n);
        }
        mark.last_n = last_n;
        mark.log = chain;
        let floor = Floor { n: from_n, digest: start, unanchored: 0 };
        value::put_one(batch, &floors::key(doc), &floor.encode())
    }

    /// The chain over all values of a kind that can be read; the others are deleted.
    fn accept_chain(&self, doc: DocKey, kind: Key, batch: &mut Batch) -> Result<Chain, Error> {
        let (mut chain, mut scratch) = (Chain::default(), Vec::new());
        for position in self.numbers(doc, kind)? {
            let key = keys::doc_number(doc, kind, position);
            match self.whole(&key)? {
                Some(bytes) => chain.push(&mut scratch, position, &bytes),
                None => self.delete_value(&key, batch)?,
            }
        }
        Ok(chain)
    }

    /// The numbers under which values of a kind are stored, whole or not.
    fn numbers(&self, doc: DocKey, kind: Key) -> Result<Vec<u64>, Error> {
        let pairs = self.engine().scan(&keys::doc_prefix(doc, kind), None, usize::MAX)?;
        let mut numbers: Vec<u64> =
            pairs.iter().filter_map(|(key, _)| keys::number_of(key)).collect();
        numbers.dedup();
        Ok(numbers)
    }

    fn readable(&self, doc: DocKey, number: u64) -> Result<Vec<super::LogEntry>, Error> {
        let mut entries = Vec::new();
        if let Some(group) = self.whole(&log::key(doc, number))?
            && log::decode(group, &mut entries).is_none()
        {
            entries.clear();
        }
        Ok(entries)
    }

    fn whole(&self, key: &[u8]) -> Result<Option<Vec<u8>>, Error> {
        let mut found = None;
        let read = value::each_chunked(self.engine(), key, None, |_, bytes| {
            found = Some(bytes);
            Ok(false)
        });
        match read {
            Ok(()) => Ok(found),
            Err(Error::Corrupt { .. }) => Ok(None),
            Err(other) => Err(other),
        }
    }

    fn delete_value(&self, key: &[u8], batch: &mut Batch) -> Result<(), Error> {
        value::delete_through(self.engine(), batch, key, key)
    }
}

fn lose(
    doc: DocKey,
    range: RangeInclusive<u64>,
    (batch, loss): (&mut Batch, &mut Loss),
) -> Result<(), Error> {
    value::put_one(batch, &lost::key(doc, *range.start()), &lost::encode(*range.end()))?;
    loss.entries.push(range);
    Ok(())
}
