//! Making a damaged data directory serve what is left of it. Called by `sheaf repair` on
//! a stopped server, when there is no backup to restore.
//! Never throws away a damaged file: segments and witness are set aside beside the new ones.

use std::path::Path;

use super::{Config, Error, Journal, Report};
use crate::store::verify::Check;
use crate::store::{self, Document, Loaded, Loss, Options, Store};

/// What a repair found and accepted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Repaired {
    /// What the journal lost.
    pub journal: Report,
    /// Documents that lost something, and what.
    pub documents: Vec<(Document, Loss)>,
    /// Documents that load and fail the caller's check, and what it said.
    pub unmerged: Vec<(Document, String)>,
    /// Values of vaults' feeds that were removed: the next start settles those files again.
    pub unsettled: usize,
}

/// Repairs the data directory `dir`. Every document loads from the store afterwards; `check` is
/// asked whether what is left of it is still a document. `epoch` is given to documents whose own is
/// lost.
///
/// # Errors
/// `Store(InUse)` when a server runs on it; `Store(EnginePanic)` and `Store(Engine)` when sled
/// cannot open its files: then only a backup helps; `Io`.
pub fn repair(dir: &Path, epoch: u64, check: &mut Check<'_>) -> Result<Repaired, Error> {
    if !dir.join("journal").is_dir() {
        let source = std::io::Error::from(std::io::ErrorKind::NotFound);
        return Err(Error::Io { what: "not a data directory", source });
    }
    let options = Options { is_repair: true, ..Options::default() };
    let store = Store::open_with(dir, options)?;
    let config = Config { is_repair: true, ..Config::new(dir.join("journal")) };
    let (journal, report) = Journal::open(config, store.clone())?;
    let mut repaired = Repaired { journal: report, ..Repaired::default() };
    for document in store.documents() {
        let loaded = match load(&store, &document) {
            Ok(loaded) => loaded,
            Err(store::Error::Damaged { .. }) => {
                let loss = store.accept_loss(document.key, epoch)?;
                repaired.documents.push((document.clone(), loss));
                load(&store, &document)?
            }
            Err(other) => return Err(other.into()),
        };
        if let Err(what) = check(document.key, &loaded) {
            repaired.unmerged.push((document, what));
        }
    }
    repaired.unsettled = store.mend_feeds()?;
    journal.close()?;
    Ok(repaired)
}

fn load(store: &Store, document: &Document) -> Result<Loaded, store::Error> {
    let loaded = store.load(document.key)?;
    store.asides(document.key)?;
    // A document that lost its name gets another one when it is accepted.
    if !document.name.is_empty() && !document.is_deleted {
        store.find(document.key.vault, &document.name)?;
    }
    Ok(loaded)
}
