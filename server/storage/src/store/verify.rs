//! Checking a whole store: every record's checksum, every document against the witness, every kept
//! entry against the digests. Called by `journal::verify` on a stopped server.
//! Never repairs, and never stops at the first finding.

use sheaf_protocol::ids::DocKey;

use super::engine::Pair;
use super::keys::{self, Key, paths};
use super::load::{Loaded, push};
use super::witness::{Chain, Known};
use super::{Document, Error, Store, value};

/// Something that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The document, where one could be named.
    pub doc: Option<DocKey>,
    /// Its name.
    pub name: Option<String>,
    /// The journal position up to which the document is right.
    pub position: u64,
    /// What is wrong.
    pub what: String,
}

/// How far the check is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// So many records of the engine were checked.
    Records(u64),
    /// So many documents of all.
    Documents {
        /// Checked.
        done: usize,
        /// All.
        all: usize,
    },
}

/// What was checked, and found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Checked {
    /// Records of the engine.
    pub records: u64,
    /// Documents.
    pub documents: usize,
    /// Entries that are kept.
    pub entries: u64,
    /// What is wrong.
    pub findings: Vec<Finding>,
}

/// A check of a loaded document that the store cannot make: that its state decodes. Says what is
/// wrong.
pub type Check<'a> = dyn FnMut(DocKey, &Loaded) -> Result<(), String> + 'a;

/// Records read by one engine call.
const SCAN_RECORDS: usize = 512;

impl Store {
    /// Checks everything. Whatever the journal holds beyond must be folded, or documents that it
    /// has not reached are judged by what the witness knows.
    ///
    /// # Errors
    /// What the engine reports other than damage.
    pub fn verify(
        &self,
        progress: &mut dyn FnMut(Progress),
        check: &mut Check<'_>,
    ) -> Result<Checked, Error> {
        let mut checked = Checked::default();
        self.verify_records(&mut checked, progress)?;
        if let Err(error) = self.vaults() {
            checked.findings.push(finding(None, &error));
        }
        for (vault, what) in self.verify_feeds()? {
            let what = format!("vault {vault}: {what}; the next start makes it good");
            checked.findings.push(Finding { doc: None, name: None, position: 0, what });
        }
        let documents = self.documents();
        let all = documents.len();
        for (done, document) in documents.into_iter().enumerate() {
            progress(Progress::Documents { done, all });
            if let Err(error) = self.verify_document(&document, &mut checked, check) {
                checked.findings.push(finding(Some(&document), &error));
            }
        }
        checked.documents = all;
        progress(Progress::Documents { done: all, all });
        Ok(checked)
    }

    fn verify_records(
        &self,
        checked: &mut Checked,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<(), Error> {
        let mut from: Option<Vec<u8>> = None;
        loop {
            let pairs = self.engine().scan(&[], from.as_deref(), SCAN_RECORDS)?;
            for pair in &pairs {
                checked.records += 1;
                if let Err(error) = self.verify_record(pair) {
                    checked.findings.push(finding(None, &error));
                }
            }
            progress(Progress::Records(checked.records));
            match pairs.into_iter().next_back() {
                Some((key, _)) => from = Some(key),
                None => return Ok(()),
            }
        }
    }

    fn verify_record(&self, pair: &Pair) -> Result<(), Error> {
        let (key, _) = pair;
        value::check(pair)?;
        let Some(kind) = Key::of(key) else {
            return Err(Error::corrupt(key, "a key of no known kind"));
        };
        let witness = self.inner.witness.lock();
        let is_known = match kind {
            Key::Meta | Key::Vaults | Key::Hooks => true,
            _ if self.is_dropped(keys::vault_of(key))? => true,
            Key::Feed | Key::Activity | Key::Stamps | Key::Cursors | Key::Retired => {
                witness.vault(keys::vault_of(key)).is_some()
            }
            Key::Paths => {
                let name = paths::name(key).unwrap_or_default();
                witness.find(keys::vault_of(key), name).is_some()
            }
            _ => match keys::doc_of(key) {
                Some(doc) => witness.known(doc).is_some() || self.is_pruned(doc)?,
                None => false,
            },
        };
        if is_known { Ok(()) } else { Err(Error::corrupt(key, "the witness does not know it")) }
    }

    fn verify_document(
        &self,
        document: &Document,
        checked: &mut Checked,
        check: &mut Check<'_>,
    ) -> Result<(), Error> {
        let doc = document.key;
        if !document.is_deleted && self.find(doc.vault, &document.name)? != Some(doc.doc) {
            return Err(self.finding_error(document, "its name leads elsewhere"));
        }
        let loaded = self.load(doc)?;
        self.asides(doc)?;
        let known = self.inner.witness.lock().known(doc).cloned().unwrap_or_default();
        checked.entries += self.verify_log(doc, &known)?;
        let result = check(doc, &loaded);
        result.map_err(|what| self.finding_error(document, &what))
    }

    /// Everything that is kept of the log, from its floor, must lead to the witness's digest, and
    /// pass through that of every checkpoint.
    fn verify_log(&self, doc: DocKey, known: &Known) -> Result<u64, Error> {
        let floor = self.floor(doc)?;
        let mut chain = Chain { count: 0, digest: floor.digest };
        let mut scratch = Vec::new();
        let entries = self.entries(doc, floor.n, u64::MAX, &mut 0)?;
        let checkpoint = match known.mark.ckpt_n {
            0 => None,
            n => self.checkpoint(doc, n)?,
        };
        let mut at_checkpoint = (floor.n == known.mark.ckpt_n).then_some(floor.digest);
        for entry in &entries {
            push(&mut chain, &mut scratch, entry);
            if entry.n == known.mark.ckpt_n {
                at_checkpoint = Some(chain.digest);
            }
        }
        if let Some((_, digest)) = checkpoint
            && at_checkpoint != Some(digest)
        {
            let what = "kept entries do not lead to the checkpoint";
            return Err(super::load::damaged(doc, known, 0, what));
        }
        if chain.digest != known.mark.log.digest {
            let what = "kept entries do not lead to the last one";
            return Err(super::load::damaged(doc, known, 0, what));
        }
        Ok(entries.len() as u64)
    }

    fn finding_error(&self, document: &Document, what: &str) -> Error {
        Error::Damaged {
            vault: document.key.vault,
            doc: document.key.doc,
            name: document.name.clone(),
            position: document.last_position,
            what: what.to_owned(),
        }
    }
}

fn finding(document: Option<&Document>, error: &Error) -> Finding {
    let (key_doc, position, what) = match error {
        Error::Damaged { position, what, .. } => (None, *position, what.clone()),
        Error::Corrupt { key, .. } => (keys::doc_of(key), 0, error.to_string()),
        other => (None, 0, other.to_string()),
    };
    Finding {
        doc: document.map(|document| document.key).or(key_doc),
        name: document.map(|document| document.name.clone()),
        position,
        what,
    }
}
