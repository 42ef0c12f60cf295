//! Files and changes as the channel shows them, and pages of both.
//!
//! Job: render what the vault has and its feed. Called by `desk` for what is asked for, and by
//! `feed` for what is not. Never shows anything but what the vault gives: durable, in order.

use sheaf_protocol::control::{
    Changes, Content, Deleted, Device, Download, Entry, FileContent, FileId, FileKind, FileList,
    GetChanges, Hash, Item, ItemOp, ListFiles, Reply, StampText, Updated,
};
use sheaf_protocol::error::Code;

use super::desk::{Desk, Paged, Said, Then};
use crate::vault::operation::Refused;
use crate::vault::versions::{Held, Read};
use crate::vault::{self, Change, Cursor, File, Kind};
use sheaf_ground::task;

/// The one collection.
pub(super) const FILES: &str = "files";

/// A page of files.
pub(super) fn files(desk: &Desk, asked: &ListFiles) -> Said {
    let page = page(desk, asked.since_version, asked.limit, |paged| &mut paged.files)?;
    let vault::Changes { items, cursor, has_more, .. } = page;
    let files: Vec<Entry> = items.into_iter().map(|change| entry(change.file)).collect();
    let live = files.iter().filter(|file| !file.deleted);
    let bytes = live.map(|file| file.size).sum();
    let next = has_more.then_some(cursor.seq);
    let list = FileList { re: None, files, version: cursor.seq, has_more, next };
    Ok((Reply::FileList(list), Then::Listed { bytes, is_last: !has_more }))
}

/// A page of the feed.
pub(super) fn changes(desk: &Desk, asked: &GetChanges) -> Result<Reply, Refused> {
    let GetChanges { owner, since_stamp, origin, collections, .. } = asked;
    if owner.is_some() || since_stamp.is_some() || origin.is_some() {
        let what = "only collections are told apart here: leave owner, since_stamp and origin out";
        return Err(Refused::new(Code::Unsupported, what));
    }
    let is_wanted = |names: &Vec<String>| names.iter().any(|name| name == FILES);
    let is_any = collections.as_ref().is_none_or(is_wanted);
    let page = page(desk, asked.since, asked.limit, |paged| &mut paged.changes)?;
    let vault::Changes { items, cursor, has_more, .. } = page;
    let items = items.into_iter().filter(|_| is_any).map(item).collect();
    let next = has_more.then_some(cursor.seq);
    Ok(Reply::Changes(Changes { re: None, items, next, has_more, version: cursor.seq }))
}

fn page(
    desk: &Desk,
    since: u64,
    limit: Option<u64>,
    of: fn(&mut Paged) -> &mut Option<Cursor>,
) -> Result<vault::Changes, Refused> {
    let max = desk.relay.announced.page_items;
    let limit = limit.unwrap_or(max);
    if !(1..=max).contains(&limit) {
        let refused = Refused::field("limit", format!("a limit is from 1 to {max}"));
        return Err(refused.with("max", max));
    }
    // A number says nothing of a listing: the next page of one is known by it.
    let paged = of(&mut desk.paged.lock()).filter(|paged| paged.seq == since);
    let since = paged.unwrap_or(Cursor::at(desk.epoch, since));
    // Whoever asks what comes after it holds all before it.
    desk.holds(since)?;
    let page = task::block(|| desk.relay.vaults.changes(&desk.vault, since, limit as usize))?;
    *of(&mut desk.paged.lock()) = Some(page.cursor).filter(|cursor| cursor.listing.is_some());
    Ok(page)
}

/// Reads a file, now or as it was at a version.
pub(super) async fn download(desk: &Desk, asked: &Download) -> Result<FileContent, Refused> {
    let (path, version) = (&asked.path, asked.version);
    let Read { dated, held } = desk.relay.vaults.read_at(&desk.vault, path, version).await?;
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
        kind: kind(item.body),
        content,
        encoding: None,
        blob,
    })
}

/// Where the bytes of a file are over HTTP.
fn address(desk: &Desk, hash: Hash) -> String {
    format!("/v1/vaults/{}/blobs/{hash}", desk.vault)
}

fn kind(kind: Kind) -> FileKind {
    match kind {
        Kind::Text => FileKind::Text,
        Kind::Other => FileKind::Other,
        Kind::Empty => FileKind::Empty,
        Kind::Blob => FileKind::Blob,
    }
}

fn entry(file: File) -> Entry {
    Entry {
        path: file.path.to_string(),
        id: FileId(file.id),
        version: file.seq,
        size: file.size,
        hash: file.hash.map(Hash),
        kind: kind(file.kind),
        created_at: file.created_ms,
        updated_at: file.updated.ms(),
        user: file.by.map(|by| by.to_string()),
        deleted: file.is_deleted,
    }
}

/// A change as an item.
pub(super) fn item(change: Change) -> Item {
    let Change { seq, file } = change;
    Item {
        seq,
        op: if file.is_deleted { ItemOp::Delete } else { ItemOp::Put },
        collection: FILES.to_owned(),
        id: FileId(file.id),
        path: file.path.to_string(),
        size: file.size,
        hash: file.hash.map(Hash),
        kind: kind(file.kind),
        by: device(file.device),
        user: file.by.map(|by| by.to_string()),
    }
}

fn device(device: u64) -> Option<Device> {
    (device != 0).then_some(Device(device))
}

/// A change as what happened to a file.
pub(super) fn happening(change: Change) -> Reply {
    let Change { seq: version, file } = change;
    let (path, id) = (file.path.to_string(), FileId(file.id));
    let (by, user) = (device(file.device), file.by.map(|by| by.to_string()));
    if file.is_deleted {
        return Reply::FileDeleted(Deleted { path, version, id, by, user });
    }
    let (size, hash, kind) = (file.size, file.hash.map(Hash), kind(file.kind));
    let (stamp, from) = (Some(StampText(file.updated)), file.from.map(|from| from.to_string()));
    Reply::FileUpdated(Updated { path, version, size, hash, id, kind, by, user, stamp, from })
}
