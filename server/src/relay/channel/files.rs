//! Whole files: uploaded, downloaded, deleted, moved.
//!
//! Job: check what is asked and have the vault do it. Called by `desk` and `push`. Never writes
//! where the caller may not, and never says that something is done before it is durable.

use std::sync::Arc;

use sheaf_protocol::control::{
    Ack, Content, Delete, Download, FileContent, FileId, Hash, Move, StampText, Survivor, Upload,
};

use super::desk::Desk;
use super::problem::{Refused, too_large};
use super::{difference, listing};
use crate::vault::audience::From;
use crate::vault::condition::ANYHOW;
use crate::vault::tree::{Act, Asked, Done, Step};
use crate::vault::upload::{Base, Upcoming, Uploaded};
use crate::vault::versions::{Held, Read};
use crate::vault::{self, File};
use sheaf_ground::task;

/// Takes a whole file in.
pub(super) async fn upload(desk: &Desk, mut asked: Upload) -> Result<Ack, Refused> {
    desk.check_write(&asked.path).await?;
    let before = existing(desk, &asked.path)?.map_or(0, |file| file.seq);
    let body = match brought(desk, &mut asked).await? {
        Brought::Now(body) => body,
        Brought::Before(uploaded) => return Ok(uploaded_to(*uploaded)),
    };
    let upcoming = upcoming(&asked, &body);
    let (vaults, asked) = (&desk.relay.vaults, (&desk.vault, &*asked.path));
    let may = async move |now: Arc<str>| desk.check_write(&now).await.is_ok();
    let uploaded = vaults.upload_or_follow(asked, desk.author(), upcoming, may).await?;
    let version = uploaded.version;
    if uploaded.has_changed || uploaded.is_created {
        let from = (From::Client, desk.author().device);
        vaults.audience().uploaded((&desk.vault, &uploaded.path), (before, version), from);
    }
    Ok(uploaded_to(uploaded))
}

/// An upload as the vault takes it.
pub(super) fn upcoming<'a>(asked: &Upload, body: &'a Body) -> vault::upload::Upload<'a> {
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
pub(super) fn uploaded_to(uploaded: Uploaded) -> Ack {
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

/// Reads a file, now or as it was at a version.
pub(super) async fn download(desk: &Desk, asked: &Download) -> Result<FileContent, Refused> {
    let (path, version) = (&asked.path, asked.version);
    let read = desk.relay.vaults.read_at(&desk.vault, path, version).await?;
    let Read { dated, held } = read;
    let item = dated.version.item;
    let (content, blob) = match held {
        Held::Text(text) => (Some(Content::Text(text)), None),
        Held::Blob { hash, .. } => (None, Some(address(desk, Hash(hash)))),
        Held::Roots(roots) => {
            let root = roots.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
            return Err(vault::Error::NotText { root }.into());
        }
    };
    Ok(FileContent {
        re: None,
        path: item.path.to_string(),
        id: FileId(dated.doc),
        version: item.seq,
        size: item.size,
        hash: item.hash.map(Hash),
        kind: listing::kind(item.body),
        content,
        encoding: None,
        blob,
    })
}

/// Where the bytes of a file are over HTTP.
fn address(desk: &Desk, hash: Hash) -> String {
    format!("/v1/vaults/{}/blobs/{hash}", desk.vault)
}

/// Deletes a file or a folder, unless it was edited since the version that is meant.
pub(super) async fn delete(desk: &Desk, asked: &Delete) -> Result<Ack, Refused> {
    change(desk, deletion(asked)).await
}

/// Gives a file or a folder another path.
pub(super) async fn relocate(desk: &Desk, asked: &Move) -> Result<Ack, Refused> {
    change(desk, relocation(asked)).await
}

/// A deletion as the vault takes it.
pub(super) fn deletion(Delete { path, base_version, stamp, .. }: &Delete) -> Step<'_> {
    let act = Act::Delete { base: *base_version, asked: with(*stamp) };
    Step { path, act }
}

/// A move as the vault takes it.
pub(super) fn relocation(Move { path, to, stamp, .. }: &Move) -> Step<'_> {
    Step { path, act: Act::Move { to, asked: with(*stamp) } }
}

fn with<'a>(stamp: Option<StampText>) -> Asked<'a> {
    Asked { stamp: stamp.map(|stamp| stamp.0), ..Asked::default() }
}

async fn change(desk: &Desk, step: Step<'_>) -> Result<Ack, Refused> {
    check_step(desk, &step).await?;
    let done = desk.relay.vaults.change(&desk.vault, &[step], desk.author()).await;
    let done = done.map_err(|undone| refused(&step, undone.error))?;
    told(desk);
    changed(desk, &step, done.into_iter().next().unwrap_or_default())
}

/// Whether the caller may write wherever a step does.
pub(super) async fn check_step(desk: &Desk, step: &Step<'_>) -> Result<(), Refused> {
    desk.check_write(step.path).await?;
    match step.act {
        Act::Move { to, .. } => desk.check_write(to).await,
        Act::Delete { .. } | Act::Upload(_) => Ok(()),
    }
}

/// Why a step is not done.
pub(super) fn refused(step: &Step<'_>, error: vault::Error) -> Refused {
    match (&error, step.act) {
        (vault::Error::BadPath(_) | vault::Error::BadMove(_), Act::Move { .. }) => {
            Refused::from(error).with("field", "to")
        }
        _ => error.into(),
    }
}

/// What a step came to.
pub(super) fn changed(desk: &Desk, step: &Step<'_>, done: Done) -> Result<Ack, Refused> {
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
        (Some(id), Act::Delete { .. } | Act::Upload(_)) => Ok(Ack { id: Some(FileId(id)), ..ack }),
        (Some(id), Act::Move { .. }) => {
            // Somebody may have moved it on: then its size is theirs to tell.
            let file = existing(desk, path)?.filter(|file| file.id == id);
            let (size, hash) = file.map_or((None, None), |file| (Some(file.size), file.hash));
            Ok(Ack { id: Some(FileId(id)), size, hash: hash.map(Hash), ..ack })
        }
    }
}

fn survivor(file: &File) -> Survivor {
    Survivor { path: file.path.to_string(), id: FileId(file.id), version: file.seq }
}

/// The others hear of it by their feeds.
pub(super) fn told(desk: &Desk) {
    desk.relay.vaults.audience().changed(&desk.vault, From::Client);
}

pub(super) fn existing(desk: &Desk, path: &str) -> Result<Option<File>, Refused> {
    match task::block(|| desk.relay.vaults.file(&desk.vault, path)) {
        Ok(file) => Ok(Some(file)),
        Err(vault::Error::NoFile) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// What an upload brings.
pub(super) enum Body {
    Text(String),
    /// Bytes that the vault has, or is said to have.
    Blob([u8; 32]),
}

/// An upload's body, where it is to be looked at.
pub(super) enum Brought {
    Now(Body),
    /// It came before, and what it was the difference to is not there any more.
    Before(Box<Uploaded>),
}

/// What is meant. Text is UTF-8 without NUL; everything else is put as bytes.
pub(super) async fn brought(desk: &Desk, asked: &mut Upload) -> Result<Brought, Refused> {
    let body = match (asked.content.take(), asked.blob, &asked.diff) {
        (Some(content), None, None) => {
            let bytes = content.into_bytes(asked.encoding);
            let bytes = bytes.ok_or(Refused::field("content", "this is no base64"))?;
            match String::from_utf8(bytes) {
                Ok(text) if !text.contains('\0') => Body::Text(text),
                Ok(text) => put(desk, text.as_bytes())?,
                Err(no_text) => put(desk, no_text.as_bytes())?,
            }
        }
        (None, Some(hash), None) => Body::Blob(hash.0),
        (None, None, Some(diff)) => {
            let base = asked.base_version;
            let base = base.ok_or(Refused::field("base_version", "what it is from"))?;
            let text = match base_text(desk, &asked.path, base).await {
                Ok(text) => text,
                Err(refused) => {
                    let before = before(desk, asked).await?;
                    return before.map(|done| Brought::Before(Box::new(done))).ok_or(refused);
                }
            };
            let whole = difference::applied(&text, diff, asked.unit.unwrap_or_default());
            Body::Text(whole.map_err(|what| Refused::field("diff", what))?)
        }
        _ => return Err(Refused::field("content", "one of content, blob and diff")),
    };
    let max = desk.relay.channels.limits.document_bytes as usize;
    match &body {
        Body::Text(text) if text.len() > max => Err(too_large(max)),
        _ => Ok(Brought::Now(body)),
    }
}

/// What an upload came to, if it has a stamp and came before.
async fn before(desk: &Desk, asked: &Upload) -> Result<Option<Uploaded>, Refused> {
    let Some(stamp) = asked.stamp else { return Ok(None) };
    Ok(desk.relay.vaults.uploaded_before((&desk.vault, &asked.path), stamp.0).await?)
}

fn put(desk: &Desk, bytes: &[u8]) -> Result<Body, Refused> {
    let (hash, _) = task::block(|| desk.relay.vaults.put_bytes(&desk.vault, bytes))?;
    Ok(Body::Blob(hash))
}

/// The text that a difference is from.
async fn base_text(desk: &Desk, path: &str, base: u64) -> Result<String, Refused> {
    if base == 0 {
        return Ok(String::new());
    }
    match desk.relay.vaults.read_at(&desk.vault, path, Some(base)).await {
        Ok(Read { held: Held::Text(text), .. }) => Ok(text),
        Ok(_) => Err(Refused::field("diff", "this version is no text")),
        Err(vault::Error::NoVersion { .. }) => {
            let (seq, hash) = existing(desk, path)?.map_or((0, None), |file| (file.seq, file.hash));
            Err(vault::Error::BaseGone { seq, hash }.into())
        }
        Err(error) => Err(error.into()),
    }
}
