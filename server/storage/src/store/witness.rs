//! The second witness: an append-only file outside the engine that says, per document, how many
//! entries there are and what they hash to. Written by the fold and by checkpoints, after the
//! engine's sync and before journal segments go; compared by every load and by `verify`.
//! Never says that something is stored before the engine has it on disk.

use std::collections::hash_map::DefaultHasher;
use std::collections::{BTreeMap, HashMap};
use std::hash::{Hash, Hasher};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sheaf_protocol::ids::{DocKey, VaultNo};

use super::Error;
use super::disk::{Disk, DiskFile, read_full_at, write_all_at};
use super::keys::meta::Folded;

mod mark;

pub use mark::{Chain, Known, KnownVault, Mark};
use mark::{Layout, Statement, frame};

/// First bytes of the file: a name and a version.
const MAGIC: &[u8; 12] = b"SHEAFWIT\x02\0\0\0";

/// The same of the layout before; such a file is rewritten when it is opened.
const MAGIC_FIRST: &[u8; 12] = b"SHEAFWIT\x01\0\0\0";

/// The file is rewritten when it is this much larger than what it says.
const SLACK_BYTES: u64 = 4 * 1024 * 1024;

/// Documents per statement of a rewritten file; keeps a statement near 256 KiB.
const DOCS_PER_STATEMENT: usize = 1_000;

/// What the witness knows, and its file.
pub struct Witness {
    home: Option<Home>,
    folded: Folded,
    docs: HashMap<DocKey, Known>,
    /// Hash of vault and name to document: finds a document that the engine has forgotten.
    names: HashMap<u64, DocKey>,
    vaults: BTreeMap<VaultNo, KnownVault>,
    /// The highest number that a vault has or had.
    last_vault: VaultNo,
    next_seq: u64,
    scratch: Vec<u8>,
}

struct Home {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    file: Arc<dyn DiskFile>,
    len: u64,
    /// Length right after the last rewrite.
    rewritten_len: u64,
    /// After a failed sync the file is not written again: what it holds is unknown.
    is_failed: bool,
}

/// What one append says.
#[derive(Debug, Default)]
pub struct News {
    /// The new end of what is folded.
    pub folded: Folded,
    /// Documents that changed, with everything known of them.
    pub docs: Vec<(DocKey, Known)>,
    /// Documents that are forgotten, with nothing known of them any more.
    pub gone: Vec<DocKey>,
    /// Vaults that are new or have changed.
    pub vaults: Vec<KnownVault>,
    /// Vaults that were deleted.
    pub dropped: Vec<VaultNo>,
    /// The highest number that a vault has or had, as far as these news know.
    pub last_vault: VaultNo,
}

/// What opening the file found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Opened {
    /// There was no file.
    pub is_new: bool,
    /// Bytes of an unfinished last statement that were cut.
    pub cut_bytes: u64,
}

impl Witness {
    /// A witness without a file, for stores in memory.
    #[must_use]
    pub fn in_memory() -> Self {
        Self {
            home: None,
            folded: Folded::default(),
            docs: HashMap::new(),
            names: HashMap::new(),
            vaults: BTreeMap::new(),
            last_vault: VaultNo(0),
            next_seq: 0,
            scratch: Vec::new(),
        }
    }

    /// Opens or creates the file in `dir`. An unfinished last statement is cut: the fold says it
    /// again, since segments go only after the witness is synced.
    ///
    /// # Errors
    /// `WitnessDamaged` when a statement is bad and another follows it; `Io`.
    pub fn open(dir: &Path, disk: Arc<dyn Disk>) -> Result<(Self, Opened), Error> {
        let path = dir.join("marks");
        let fail = |source| Error::Io { path: path.clone(), source };
        let mut witness = Self::in_memory();
        let mut opened = Opened::default();
        let file = match disk.open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                opened.is_new = true;
                let file = disk.create(&path).map_err(fail)?;
                write_all_at(&*file, MAGIC, 0).map_err(fail)?;
                file.sync_data().map_err(fail)?;
                disk.sync_dir(dir).map_err(fail)?;
                file
            }
            Err(error) => return Err(fail(error)),
        };
        let size = file.len().map_err(fail)?;
        let mut bytes = vec![0; usize::try_from(size).unwrap_or(usize::MAX)];
        let have = read_full_at(&*file, &mut bytes, 0).map_err(fail)?;
        bytes.truncate(have);
        let layout = layout(&bytes)?;
        let end = witness.read(&bytes, layout)?;
        opened.cut_bytes = bytes.len() as u64 - end;
        if opened.cut_bytes > 0 {
            file.set_len(end).map_err(fail)?;
            file.sync_data().map_err(fail)?;
        }
        let home =
            Home { disk, dir: dir.to_owned(), file, len: end, rewritten_len: 0, is_failed: false };
        witness.home = Some(home);
        if layout == Layout::First && !witness.rewrite()? {
            let source = io::Error::other("it could not be rewritten in its new layout");
            return Err(Error::Io { path, source });
        }
        Ok((witness, opened))
    }

    /// Opens a file that `open` refuses: whatever statements can be read are learned, the file is
    /// set aside as `marks.damaged` and written anew. Some of what is known may be old then.
    ///
    /// # Errors
    /// `Io`.
    pub fn open_damaged(dir: &Path, disk: Arc<dyn Disk>) -> Result<Self, Error> {
        let (path, aside) = (dir.join("marks"), dir.join("marks.damaged"));
        let fail = |source| Error::Io { path: path.clone(), source };
        let bytes = std::fs::read(&path).map_err(fail)?;
        let mut witness = Self::in_memory();
        let mut at = 0;
        while at < bytes.len() {
            let read = Statement::read(&bytes[at..], Layout::Second);
            at += match read.or_else(|| Statement::read(&bytes[at..], Layout::First)) {
                Some((statement, len)) => {
                    witness.learn(statement.news);
                    len
                }
                None => 1,
            };
        }
        disk.rename(&path, &aside).map_err(fail)?;
        let (mut fresh, _) = Self::open(dir, disk)?;
        witness.home = fresh.home.take();
        witness.rewrite()?;
        Ok(witness)
    }

    /// How far the witness has followed the fold.
    #[must_use]
    pub fn folded(&self) -> Folded {
        self.folded
    }

    /// What is known of a document.
    #[must_use]
    pub fn known(&self, doc: DocKey) -> Option<&Known> {
        self.docs.get(&doc)
    }

    /// The live document of that name, whether or not the engine has it.
    #[must_use]
    pub fn find(&self, vault: VaultNo, name: &str) -> Option<DocKey> {
        let doc = *self.names.get(&name_hash(vault, name))?;
        let known = self.docs.get(&doc)?;
        (!known.is_deleted && &*known.name == name).then_some(doc)
    }

    /// All documents, ordered by key.
    #[must_use]
    pub fn docs(&self) -> Vec<DocKey> {
        let mut docs: Vec<DocKey> = self.docs.keys().copied().collect();
        docs.sort_unstable();
        docs
    }

    /// All vaults.
    pub fn vaults(&self) -> impl Iterator<Item = &KnownVault> {
        self.vaults.values()
    }

    /// What is known of a vault.
    #[must_use]
    pub fn vault(&self, number: VaultNo) -> Option<&KnownVault> {
        self.vaults.get(&number)
    }

    /// The highest number that a vault has or had.
    #[must_use]
    pub fn last_vault(&self) -> VaultNo {
        self.last_vault
    }

    /// Appends news and syncs them; after that they are known.
    ///
    /// # Errors
    /// `Io`. After a failed sync the witness takes nothing more until it is opened again; after a
    /// failed write the file is cut back and the news can be said again.
    pub fn append(&mut self, news: News) -> Result<(), Error> {
        let mut scratch = std::mem::take(&mut self.scratch);
        scratch.clear();
        frame(&mut scratch, self.next_seq, &news);
        let result = self.home.as_mut().map_or(Ok(()), |home| home.append(&scratch));
        self.scratch = scratch;
        result?;
        self.next_seq += 1;
        self.learn(news);
        if self.home.as_ref().is_some_and(Home::is_bloated) {
            self.rewrite()?;
        }
        Ok(())
    }

    fn learn(&mut self, news: News) {
        self.folded = news.folded;
        self.last_vault = self.last_vault.max(news.last_vault);
        for vault in news.vaults {
            self.last_vault = self.last_vault.max(vault.number);
            let known = self.vaults.entry(vault.number).or_insert_with(|| vault.clone());
            known.seq = known.seq.max(vault.seq);
            known.epoch = if vault.epoch == 0 { known.epoch } else { vault.epoch };
        }
        if !news.dropped.is_empty() {
            self.vaults.retain(|number, _| !news.dropped.contains(number));
            self.docs.retain(|doc, _| !news.dropped.contains(&doc.vault));
            self.names.retain(|_, doc| !news.dropped.contains(&doc.vault));
        }
        for (doc, known) in news.docs {
            if let Some(before) = self.docs.get(&doc)
                && (known.is_deleted || before.name != known.name)
            {
                let hash = name_hash(doc.vault, &before.name);
                if self.names.get(&hash) == Some(&doc) {
                    self.names.remove(&hash);
                }
            }
            if !known.is_deleted {
                self.names.insert(name_hash(doc.vault, &known.name), doc);
            }
            self.docs.insert(doc, known);
        }
        for doc in news.gone {
            let Some(known) = self.docs.remove(&doc) else { continue };
            let hash = name_hash(doc.vault, &known.name);
            if self.names.get(&hash) == Some(&doc) {
                self.names.remove(&hash);
            }
        }
    }

    /// Reads every statement; the offset at which the last good one ends.
    fn read(&mut self, bytes: &[u8], layout: Layout) -> Result<u64, Error> {
        let mut at = MAGIC.len();
        while at < bytes.len() {
            match Statement::read(&bytes[at..], layout) {
                Some((statement, len)) if statement.seq == self.next_seq => {
                    at += len;
                    self.next_seq += 1;
                    self.learn(statement.news);
                }
                Some(_) => {
                    return Err(Error::WitnessDamaged { offset: at as u64, what: "order" });
                }
                None if Statement::follows(&bytes[at + 1..], self.next_seq, layout) => {
                    return Err(Error::WitnessDamaged { offset: at as u64, what: "statement" });
                }
                None => break,
            }
        }
        Ok(at as u64)
    }

    /// Writes everything known to a new file and puts it in the old one's place. False: the disk
    /// did not take it, and the old one stays.
    fn rewrite(&mut self) -> Result<bool, Error> {
        let Some(home) = &mut self.home else { return Ok(true) };
        let mut bytes = MAGIC.to_vec();
        let mut keys: Vec<DocKey> = self.docs.keys().copied().collect();
        keys.sort_unstable();
        let mut seq = 0;
        let mut vaults: Vec<KnownVault> = self.vaults.values().cloned().collect();
        let mut parts = keys.chunks(DOCS_PER_STATEMENT);
        loop {
            let part = parts.next();
            if part.is_none() && seq > 0 {
                break;
            }
            let docs = part.unwrap_or(&[]).iter().map(|key| (*key, self.docs[key].clone()));
            let news = News {
                folded: self.folded,
                docs: docs.collect(),
                gone: Vec::new(),
                vaults: std::mem::take(&mut vaults),
                dropped: Vec::new(),
                last_vault: self.last_vault,
            };
            frame(&mut bytes, seq, &news);
            seq += 1;
        }
        let is_replaced = home.replace(&bytes)?;
        if is_replaced {
            self.next_seq = seq;
        }
        Ok(is_replaced)
    }
}

impl Home {
    fn is_bloated(&self) -> bool {
        self.len > 2 * self.rewritten_len + SLACK_BYTES
    }

    fn append(&mut self, bytes: &[u8]) -> Result<(), Error> {
        if self.is_failed {
            let source = io::Error::other("the witness failed before and waits for a restart");
            return Err(self.fail(source));
        }
        if let Err(source) = write_all_at(&*self.file, bytes, self.len) {
            self.is_failed = self.file.set_len(self.len).is_err();
            return Err(self.fail(source));
        }
        if let Err(source) = self.file.sync_data() {
            self.is_failed = true;
            return Err(self.fail(source));
        }
        self.len += bytes.len() as u64;
        Ok(())
    }

    fn replace(&mut self, bytes: &[u8]) -> Result<bool, Error> {
        let (new, old) = (self.dir.join("marks.new"), self.dir.join("marks"));
        let write = || -> io::Result<Arc<dyn DiskFile>> {
            match self.disk.remove(&new) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
            let file = self.disk.create(&new)?;
            write_all_at(&*file, bytes, 0)?;
            file.sync_data()?;
            Ok(file)
        };
        let file = match write() {
            Ok(file) => file,
            Err(error) => {
                tracing::warn!(%error, "the witness could not be rewritten and grows on");
                self.rewritten_len = self.len;
                return Ok(false);
            }
        };
        let swap = self.disk.rename(&new, &old).and_then(|()| self.disk.sync_dir(&self.dir));
        if let Err(source) = swap {
            // Which of the two files will be there after a crash is unknown.
            self.is_failed = true;
            return Err(self.fail(source));
        }
        self.file = file;
        self.len = bytes.len() as u64;
        self.rewritten_len = self.len;
        Ok(true)
    }

    fn fail(&self, source: io::Error) -> Error {
        Error::Io { path: self.dir.join("marks"), source }
    }
}

impl std::fmt::Debug for Witness {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Witness").field("docs", &self.docs.len()).finish_non_exhaustive()
    }
}

fn layout(bytes: &[u8]) -> Result<Layout, Error> {
    if bytes.starts_with(MAGIC) {
        Ok(Layout::Second)
    } else if bytes.starts_with(MAGIC_FIRST) {
        Ok(Layout::First)
    } else {
        Err(Error::WitnessDamaged { offset: 0, what: "header" })
    }
}

fn name_hash(vault: VaultNo, name: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    (vault.0, name).hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests;
