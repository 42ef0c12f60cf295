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
use crate::document::author::{Author, OnlyIf};
use crate::document::snapshot::Content;
use crate::vault::condition::{ANYHOW, At};
use crate::vault::upload::{Upcoming, Upload};
use crate::vault::{self, Kind, Vaults};
use sheaf_ground::task;

/// Files on a page: as many as there are at once.
const PAGE: usize = 1000;
/// Whoever has the data directory may write whatever is in it.
const BY: Author<'_> =
    Author { principal: &Principal::Anonymous, may_relay: true, device: 0, stamped: None };

/// One vault of a data directory.
pub(super) struct Kept {
    kept: app::Kept,
    vault: VaultName,
}

impl From<vault::Error> for Failure {
    fn from(error: vault::Error) -> Failure {
        match error {
            vault::Error::Stale { now: None } => Failure::Condition(error.to_string()),
            vault::Error::Stale { now: Some(at) } => {
                Failure::Condition(format!("the document is at another state, \"{at}\""))
            }
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
                    etag: format!("\"{}\"", file.at()),
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
        let when = |now| check(condition, now);
        let upload = Upload { when: &when, ..Upload::of(Upcoming::Text(text)) };
        let done = self.vaults().upload(&self.vault, path, BY, upload).await?;
        let (is_new, has_changed) = (done.is_created, done.has_changed);
        Ok(Written { is_new, has_changed, etag: format!("\"{}\"", done.at) })
    }

    pub(super) async fn remove(&self, path: &str) -> Result<(), Failure> {
        self.vaults().delete_file(&self.vault, path, BY, ANYHOW).await?;
        Ok(())
    }

    pub(super) async fn close(self) {
        self.kept.close().await;
    }
}

/// What the condition comes down to.
fn check(condition: &Condition, now: Option<At>) -> Result<Option<OnlyIf>, vault::Error> {
    match (condition, now) {
        (Condition::None, _) => Ok(None),
        (Condition::New, None) => Ok(Some(OnlyIf::New)),
        (Condition::State(etag), Some(at)) if at.to_string() == *etag => Ok(Some(OnlyIf::At(at.n))),
        (Condition::New, Some(_)) | (Condition::State(_), _) => Err(vault::Error::Stale { now }),
    }
}
