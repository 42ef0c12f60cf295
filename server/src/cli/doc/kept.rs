//! Documents of a data directory whose server is stopped.
//!
//! Used by `documents`. Opens store, journal, documents and vaults as the server does, and writes
//! through them. Never runs beside a server: the lock of the directory is held.

use std::path::Path;
use std::sync::Arc;

use figment::value::Value;
use sheaf_protocol::ids::{Principal, VaultName};

use super::super::{WrongUse, environment};
use super::documents::{Condition, Entry, Failure, Read, Written};
use crate::app::{self, Ambient};
use crate::config::{Config, Sources};
use crate::document::author::{Author, OnlyIf, WriteError};
use crate::document::handle::Handle;
use crate::document::snapshot::Content;
use crate::document::submission::Failure as Broken;
use crate::vault::{self, Kind, Vaults};
use sheaf_ground::task;

/// Files on a page: as many as there are at once.
const PAGE: usize = 1000;
/// A document may leave memory between being opened and being written; more often is no chance.
const TRIES: usize = 5;

/// Whoever has the data directory may write whatever is in it.
const BY: Author<'_> = Author { principal: &Principal::Anonymous, may_relay: true, device: 0 };

/// One vault of a data directory.
pub(super) struct Kept {
    kept: app::Kept,
    vault: VaultName,
}

impl From<vault::Error> for Failure {
    fn from(error: vault::Error) -> Failure {
        match error {
            vault::Error::Stale { n, .. } => Failure::Condition(format!("the document is at {n}")),
            vault::Error::Failed(_) | vault::Error::Full => Failure::Final(error.into()),
            error => Failure::Refused(error.to_string()),
        }
    }
}

impl Kept {
    /// Opens the directory; only `may_create` makes one.
    pub(super) fn open(
        dir: &Path,
        file: Option<&Path>,
        vault: VaultName,
        may_create: bool,
    ) -> anyhow::Result<Kept> {
        if !may_create && !dir.join("store").is_dir() {
            let what = format!("{} is no data directory of Sheaf; see --data", dir.display());
            return Err(WrongUse(what).into());
        }
        let config = Config::load(&Sources {
            file: file.map(Path::to_owned),
            environment: environment(),
            flags: vec![("data", Value::from(dir.to_string_lossy().into_owned()))],
        })?;
        Ok(Kept { kept: app::Kept::open(&config, &Ambient::system())?, vault })
    }

    fn vaults(&self) -> &Vaults {
        self.kept.vaults()
    }

    pub(super) fn list(&self, prefix: &str) -> Result<Vec<Entry>, Failure> {
        let (mut entries, mut after) = (Vec::new(), None::<Arc<str>>);
        loop {
            let page = self.vaults().files(&self.vault, prefix, after.as_deref(), PAGE)?;
            entries.extend(page.items.into_iter().map(|file| {
                Entry {
                    etag: format!("\"{}-{}\"", file.id, file.n),
                    path: file.path.to_string(),
                    kind: match file.kind {
                        Kind::Text => "text",
                        Kind::Other => "other",
                        Kind::Empty => "empty",
                        Kind::Blob => "blob",
                    }
                    .to_owned(),
                    size: file.size,
                    updated_ms: file.updated.ms(),
                }
            }));
            match page.next {
                Some(next) => after = Some(next),
                None => return Ok(entries),
            }
        }
    }

    pub(super) async fn read(&self, path: &str) -> Result<Read, Failure> {
        let handle = self.vaults().open(&self.vault, path).await?;
        let snapshot = task::block(|| handle.snapshot());
        let snapshot = snapshot.map_err(|error| Failure::Refused(error.to_string()))?;
        Ok(match snapshot.content {
            Content::Empty => Read::Text(String::new()),
            Content::Text { text, .. } => Read::Text(text),
            Content::Other { root } => Read::Other(root),
        })
    }

    pub(super) async fn write(
        &self,
        path: &str,
        text: &str,
        condition: &Condition,
    ) -> Result<Written, Failure> {
        for _ in 0..TRIES {
            let before = match self.vaults().open(&self.vault, path).await {
                Ok(handle) => Some(handle),
                Err(vault::Error::NoFile | vault::Error::NoVault) => None,
                Err(error) => return Err(error.into()),
            };
            let only_if = check(condition, before.as_deref())?;
            let handle = match before {
                Some(handle) => handle,
                None => self.vaults().open_or_create(&self.vault, path).await?,
            };
            match task::block(|| handle.put_text(BY, text, only_if)) {
                Ok(mut written) => {
                    let doc = handle.key().doc;
                    written.has_changed |= self.vaults().set_text(&self.vault, doc)?;
                    handle.durable(written.end).await.map_err(broken)?;
                    self.vaults().settle(&self.vault, path).await?;
                    let etag = state(&handle, written.n);
                    let (is_new, has_changed) = (written.is_created, written.has_changed);
                    return Ok(Written { is_new, has_changed, etag });
                }
                Err(WriteError::Failed(Broken::Dropped)) => {}
                Err(WriteError::Failed(error)) => return Err(broken(error)),
                Err(WriteError::NotText { root }) => {
                    let what = format!("the content is no text: it is in {root}");
                    return Err(Failure::Refused(what));
                }
                Err(error @ WriteError::Stale { .. }) => {
                    return Err(Failure::Condition(error.to_string()));
                }
                Err(error) => return Err(Failure::Refused(error.to_string())),
            }
        }
        Err(Failure::Refused("the document leaves memory again and again".to_owned()))
    }

    pub(super) async fn remove(&self, path: &str) -> Result<(), Failure> {
        self.vaults().delete_file(&self.vault, path, BY, None).await?;
        Ok(())
    }

    pub(super) async fn close(self) {
        self.kept.close().await;
    }
}

/// What the condition comes down to.
fn check(condition: &Condition, now: Option<&Handle>) -> Result<Option<OnlyIf>, Failure> {
    let told = |what: &str| Err(Failure::Condition(what.to_owned()));
    match (condition, now) {
        (Condition::None, _) => Ok(None),
        (Condition::New, None) => Ok(Some(OnlyIf::New)),
        (Condition::New, Some(_)) => told("there is such a document already"),
        (Condition::State(_), None) => told("there is no such document"),
        (Condition::State(etag), Some(handle)) => {
            let n = handle.n();
            if state(handle, n).trim_matches('"') != etag {
                return told("the document is in another state");
            }
            Ok(Some(OnlyIf::At(n)))
        }
    }
}

fn state(handle: &Handle, n: u64) -> String {
    format!("\"{}-{n}\"", handle.key().doc)
}

fn broken(error: Broken) -> Failure {
    Failure::Final(anyhow::anyhow!("the data directory takes no writes: {error}"))
}
