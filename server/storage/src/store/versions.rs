//! Versions of files: what the fold writes of them, and reading them, the newest first. Called by
//! the journal's fold, and by `history` and `vault`.
//! Never holds what a version's body was: that is rebuilt from `past`.

use sheaf_protocol::ids::{DocId, DocKey, VaultNo};
use sheaf_protocol::stamp::Stamp;

use super::engine::Batch;
use super::keys::marks::{self, Made, Version};
use super::keys::stamps::{self, Stamped};
use super::keys::{self, Key, activity, feed, labels};
use super::window::Window;
use super::{Error, Item, Label, Store, value};

/// Pairs read by one engine call.
const SCAN_PAIRS: usize = 1_000;

/// Puts a version, and its place in the timeline.
pub(super) fn put(batch: &mut Batch, doc: DocKey, version: &Version) -> Result<(), Error> {
    let seq = version.item.seq;
    value::put_one(batch, &marks::key(doc, seq), &version.encode())?;
    value::put_one(batch, &activity::key(doc.vault, seq), &feed::encode(doc.doc))
}

impl Window {
    /// Takes a version; the caller has looked whether the engine has it.
    pub(super) fn version(
        &mut self,
        doc: DocKey,
        (prev_seq, item, made): (u64, &Item, &Made),
    ) -> Result<(), Error> {
        let version = Version { prev_seq, item: item.clone(), made: made.clone() };
        put(&mut self.batch, doc, &version)
    }

    /// Takes the name of a version; `None` takes it away.
    ///
    /// # Errors
    /// `TooLarge` for a name that no check let through.
    pub fn named(
        &mut self,
        doc: DocKey,
        position: u64,
        (seq, label): (u64, Option<&Label>),
    ) -> Result<(), Error> {
        if position < self.engine_from {
            return Ok(());
        }
        let key = labels::key(doc, seq);
        match label {
            Some(label) => value::put_one(&mut self.batch, &key, &label.encode()),
            None => {
                self.batch.delete(key);
                Ok(())
            }
        }
    }

    /// Takes a change that a client stamped.
    ///
    /// # Errors
    /// None in practice: it fits a value.
    pub fn stamped(
        &mut self,
        vault: VaultNo,
        position: u64,
        (stamp, came_to): (Stamp, &Stamped),
    ) -> Result<(), Error> {
        if position >= self.engine_from {
            let key = stamps::key(vault, stamp);
            value::put_one(&mut self.batch, &key, &came_to.encode())?;
        }
        Ok(())
    }
}

impl Store {
    /// Versions of a file, newest first, those below `before`, at most `limit`.
    ///
    /// # Errors
    /// `Corrupt`; what the engine reports.
    pub fn versions(
        &self,
        doc: DocKey,
        before: Option<u64>,
        limit: usize,
    ) -> Result<Vec<Version>, Error> {
        let before = before.map(|seq| marks::key(doc, seq));
        let prefix = keys::doc_prefix(doc, Key::Marks);
        let pairs = self.engine().scan_back(&prefix, before.as_deref(), limit)?;
        let read = |pair| {
            let version = Version::decode(value::body(pair)?);
            version.ok_or_else(|| Error::corrupt(&pair.0, "version"))
        };
        pairs.iter().map(read).collect()
    }

    /// The version of a file with this seq.
    ///
    /// # Errors
    /// As [`Store::versions`].
    pub fn version(&self, doc: DocKey, seq: u64) -> Result<Option<Version>, Error> {
        let key = marks::key(doc, seq);
        let Some(bytes) = value::get_one(self.engine(), &key)? else { return Ok(None) };
        Version::decode(&bytes).map(Some).ok_or_else(|| Error::corrupt(&key, "version"))
    }

    /// The first version of a file above a seq.
    ///
    /// # Errors
    /// As [`Store::versions`].
    pub fn version_after(&self, doc: DocKey, seq: u64) -> Result<Option<Version>, Error> {
        let (prefix, after) = (keys::doc_prefix(doc, Key::Marks), marks::key(doc, seq));
        let pairs = self.engine().scan(&prefix, Some(&after), 1)?;
        let Some(pair) = pairs.first() else { return Ok(None) };
        let version = Version::decode(value::body(pair)?);
        version.map(Some).ok_or_else(|| Error::corrupt(&pair.0, "version"))
    }

    /// Which files the versions of a vault are of, newest first, those below `before`.
    ///
    /// # Errors
    /// As [`Store::versions`].
    pub fn activity(
        &self,
        vault: VaultNo,
        before: Option<u64>,
        limit: usize,
    ) -> Result<Vec<(u64, DocId)>, Error> {
        let before = before.map(|seq| activity::key(vault, seq));
        let prefix = keys::vault_prefix(vault, Key::Activity);
        let pairs = self.engine().scan_back(&prefix, before.as_deref(), limit)?;
        let read = |pair| {
            let doc = feed::decode(value::body(pair)?);
            feed::seq(&pair.0).zip(doc).ok_or_else(|| Error::corrupt(&pair.0, "activity"))
        };
        pairs.iter().map(read).collect()
    }

    /// Gives every version of a vault. One that cannot be read is an error: what it refers to is
    /// not known then.
    ///
    /// # Errors
    /// As [`Store::versions`].
    pub fn each_version(
        &self,
        vault: VaultNo,
        mut take: impl FnMut(&Version),
    ) -> Result<(), Error> {
        let prefix = keys::vault_prefix(vault, Key::Marks);
        let mut from: Option<Vec<u8>> = None;
        loop {
            let pairs = self.engine().scan(&prefix, from.as_deref(), SCAN_PAIRS)?;
            for pair in &pairs {
                let version = Version::decode(value::body(pair)?);
                take(&version.ok_or_else(|| Error::corrupt(&pair.0, "version"))?);
            }
            match pairs.into_iter().next_back() {
                Some((key, _)) => from = Some(key),
                None => return Ok(()),
            }
        }
    }

    /// The names of a file's versions, by seq.
    ///
    /// # Errors
    /// As [`Store::versions`].
    pub fn labels(&self, doc: DocKey) -> Result<Vec<(u64, Label)>, Error> {
        let pairs = self.engine().scan(&keys::doc_prefix(doc, Key::Labels), None, usize::MAX)?;
        let read = |pair| {
            let label = Label::decode(value::body(pair)?);
            keys::number_of(&pair.0).zip(label).ok_or_else(|| Error::corrupt(&pair.0, "label"))
        };
        pairs.iter().map(read).collect()
    }

    /// The name of a version.
    ///
    /// # Errors
    /// As [`Store::versions`].
    pub fn label(&self, doc: DocKey, seq: u64) -> Result<Option<Label>, Error> {
        let key = labels::key(doc, seq);
        let Some(bytes) = value::get_one(self.engine(), &key)? else { return Ok(None) };
        Label::decode(&bytes).map(Some).ok_or_else(|| Error::corrupt(&key, "label"))
    }

    /// What a stamped change came to.
    ///
    /// # Errors
    /// As [`Store::versions`].
    pub fn stamped(&self, vault: VaultNo, stamp: Stamp) -> Result<Option<Stamped>, Error> {
        let key = stamps::key(vault, stamp);
        let Some(bytes) = value::get_one(self.engine(), &key)? else { return Ok(None) };
        Stamped::decode(&bytes).map(Some).ok_or_else(|| Error::corrupt(&key, "stamp"))
    }

    /// Forgets what stamped changes of a vault came to that came before `before_ms`, of a bounded
    /// number of stamps behind `after`; how many, and the last stamp if there may be more.
    ///
    /// # Errors
    /// What the engine reports.
    pub fn forget_stamped(
        &self,
        vault: VaultNo,
        before_ms: u64,
        after: Option<Stamp>,
    ) -> Result<(usize, Option<Stamp>), Error> {
        let prefix = keys::vault_prefix(vault, Key::Stamps);
        let from = after.map(|stamp| stamps::key(vault, stamp));
        let pairs = self.engine().scan(&prefix, from.as_deref(), SCAN_PAIRS)?;
        let mut batch = Batch::default();
        let (mut gone, mut last) = (0, None);
        for pair in &pairs {
            // What was stamped later came later.
            last = stamps::stamp(&pair.0).filter(|stamp| stamp.ms() < before_ms);
            if last.is_none() {
                break;
            }
            let came_to = Stamped::decode(value::body(pair)?);
            if came_to.is_none_or(|it| it.received_ms < before_ms) {
                batch.delete(pair.0.clone());
                gone += 1;
            }
        }
        self.engine().apply(&batch)?;
        Ok((gone, last.filter(|_| pairs.len() == SCAN_PAIRS)))
    }

    /// Takes versions away.
    pub(super) fn forget_versions(batch: &mut Batch, doc: DocKey, seqs: &[u64]) {
        for seq in seqs {
            batch.delete(marks::key(doc, *seq));
            batch.delete(activity::key(doc.vault, *seq));
        }
    }
}
