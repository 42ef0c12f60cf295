//! Operations on whole files, as clients write them: uploaded, deleted, moved, many at once.
//!
//! Job: check what a message asks for, have the vault do it, and say what it came to. Called by the
//! vault channel and by HTTP. Never writes where the caller may not, and never says that something
//! is done before it is durable.

mod body;
mod difference;
mod push;
mod refused;

use std::sync::Arc;

use futures::future::BoxFuture;
use sheaf_protocol::control::{
    Ack, Content, Delete, FileId, Hash, Move, StampText, Survivor, Upload,
};
use sheaf_protocol::error::{Code, Refusal};
use sheaf_protocol::ids::VaultName;

use self::body::{Body, Brought};
pub use self::refused::Refused;
use super::audience::From;
use super::condition::ANYHOW;
use super::tree::{Act, Asked, Done, Step};
use super::upload::{Base, Upcoming, Uploaded};
use super::{File, Vaults};
use crate::document::author::Author;
use crate::vault;
use sheaf_ground::task;

/// Where somebody may write.
pub trait Permit: Send + Sync {
    /// Whether it may write at a path now; of a folder, at every one under it.
    fn may_write<'a>(&'a self, path: &'a str) -> BoxFuture<'a, Result<bool, Refusal>>;
}

/// Somebody who carries operations out in a vault.
#[derive(Clone, Copy)]
pub struct Operator<'a> {
    /// All that is kept.
    pub vaults: &'a Vaults,
    /// Which vault.
    pub vault: &'a VaultName,
    /// On whose behalf.
    pub by: Author<'a>,
    /// Whom the others hear it from.
    pub from: From,
    /// Bytes of a text file.
    pub text_bytes_max: u64,
    /// Where it may write.
    pub permit: &'a dyn Permit,
}

impl Operator<'_> {
    /// Takes a whole file in.
    ///
    /// # Errors
    /// `ReadOnly` where it may not be written; those of the vault and of the message.
    pub async fn upload(&self, mut asked: Upload) -> Result<Ack, Refused> {
        self.check_write(&asked.path).await?;
        let before = self.existing(&asked.path)?.map_or(0, |file| file.seq);
        let body = match self.brought(&mut asked).await? {
            Brought::Now(body) => body,
            Brought::Before(uploaded) => return Ok(uploaded_to(*uploaded)),
        };
        let upcoming = upcoming(&asked, &body);
        let may = async move |now: Arc<str>| self.check_write(&now).await.is_ok();
        let place = (self.vault, &*asked.path);
        let uploaded = self.vaults.upload_or_follow(place, self.by, upcoming, may).await?;
        if uploaded.has_changed || uploaded.is_created {
            let from = (self.from, self.by.device);
            self.vaults.audience().uploaded(self.vault, (before, &uploaded), from);
        }
        Ok(uploaded_to(uploaded))
    }

    /// Deletes a file or a folder, unless it was edited since the version that is meant.
    ///
    /// # Errors
    /// As [`Operator::upload`].
    pub async fn delete(&self, asked: &Delete) -> Result<Ack, Refused> {
        self.change(deletion(asked)).await
    }

    /// Gives a file or a folder another path.
    ///
    /// # Errors
    /// As [`Operator::upload`].
    pub async fn relocate(&self, asked: &Move) -> Result<Ack, Refused> {
        self.change(relocation(asked)).await
    }

    async fn change(&self, step: Step<'_>) -> Result<Ack, Refused> {
        self.check_step(&step).await?;
        let done = self.vaults.change(self.vault, &[step], self.by).await;
        let done = done.map_err(|undone| refused(&step, undone.error))?;
        self.told();
        self.changed(&step, done.into_iter().next().unwrap_or_default())
    }

    /// Whether it may write wherever a step does.
    async fn check_step(&self, step: &Step<'_>) -> Result<(), Refused> {
        self.check_write(step.path).await?;
        match step.act {
            Act::Move { to, .. } => self.check_write(to).await,
            Act::Delete { .. } | Act::Upload(_) => Ok(()),
        }
    }

    /// Whether it may write at a path.
    ///
    /// # Errors
    /// `ReadOnly`, or nobody can be asked.
    pub async fn check_write(&self, path: &str) -> Result<(), Refused> {
        match self.permit.may_write(path).await? {
            true => Ok(()),
            false => Err(Refused::new(Code::ReadOnly, "this is for reading only")),
        }
    }

    /// What a step came to.
    fn changed(&self, step: &Step<'_>, done: Done) -> Result<Ack, Refused> {
        let Done { seq, count, kept, id, uploaded } = done;
        if let Some(uploaded) = uploaded {
            return Ok(uploaded_to(uploaded));
        }
        let path = match step.act {
            Act::Move { to, .. } => to,
            Act::Delete { .. } | Act::Upload(_) => step.path,
        };
        let ack = Ack { path: Some(path.to_owned()), version: Some(seq), ..Ack::default() };
        match (id, step.act) {
            (None, _) => {
                let kept = kept.iter().map(survivor).collect();
                Ok(Ack { count: Some(count as u64), kept: Some(kept), ..ack })
            }
            (Some(id), Act::Delete { .. } | Act::Upload(_)) => {
                Ok(Ack { id: Some(FileId(id)), ..ack })
            }
            (Some(id), Act::Move { .. }) => {
                // Somebody may have moved it on: then its size is theirs to tell.
                let file = self.existing(path)?.filter(|file| file.id == id);
                let (size, hash) = file.map_or((None, None), |file| (Some(file.size), file.hash));
                Ok(Ack { id: Some(FileId(id)), size, hash: hash.map(Hash), ..ack })
            }
        }
    }

    /// The others hear of it by their feeds.
    fn told(&self) {
        self.vaults.audience().changed(self.vault, self.from);
    }

    fn existing(&self, path: &str) -> Result<Option<File>, Refused> {
        match task::block(|| self.vaults.file(self.vault, path)) {
            Ok(file) => Ok(Some(file)),
            Err(vault::Error::NoFile) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

/// An upload as the vault takes it.
fn upcoming<'a>(asked: &Upload, body: &'a Body) -> vault::upload::Upload<'a> {
    vault::upload::Upload {
        content: match body {
            Body::Text(text) => Upcoming::Text(text),
            Body::Blob(hash) => Upcoming::Blob { hash: *hash, size: 0 },
        },
        base: asked.base_version.map_or(Base::Now, Base::Version),
        stamp: asked.stamp.map(|stamp| stamp.0),
        client_ms: asked.timestamp,
        when: ANYHOW,
        now_at: None,
    }
}

/// What an upload came to.
fn uploaded_to(uploaded: Uploaded) -> Ack {
    Ack {
        re: None,
        path: Some(uploaded.path.to_string()),
        id: Some(FileId(uploaded.at.doc)),
        version: Some(uploaded.version),
        size: Some(uploaded.size),
        hash: Some(Hash(uploaded.hash)),
        merged: Some(uploaded.is_merged),
        conflict: Some(uploaded.is_conflict),
        created: Some(uploaded.is_created),
        changed: Some(uploaded.has_changed),
        content: uploaded.content.map(Content::Text),
        ..Ack::default()
    }
}

/// A deletion as the vault takes it.
fn deletion(Delete { path, base_version, stamp, .. }: &Delete) -> Step<'_> {
    let act = Act::Delete { base: *base_version, asked: with(*stamp) };
    Step { path, act }
}

/// A move as the vault takes it.
fn relocation(Move { path, to, stamp, .. }: &Move) -> Step<'_> {
    Step { path, act: Act::Move { to, asked: with(*stamp) } }
}

fn with<'a>(stamp: Option<StampText>) -> Asked<'a> {
    Asked { stamp: stamp.map(|stamp| stamp.0), ..Asked::default() }
}

/// Why a step is not done.
fn refused(step: &Step<'_>, error: vault::Error) -> Refused {
    match (&error, step.act) {
        (vault::Error::BadPath(_) | vault::Error::BadMove(_), Act::Move { .. }) => {
            Refused::from(error).with("field", "to")
        }
        _ => error.into(),
    }
}

fn survivor(file: &File) -> Survivor {
    Survivor { path: file.path.to_string(), id: FileId(file.id), version: file.seq }
}
