//! What the server says.
//!
//! Written by the channel, read by clients. Fields that are not known are passed over.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::request::DocUpdate;
use super::scalar::{Content, Device, Encoding, Epoch, FileId, Hash, Re, StampText};
use crate::limits;

/// One message of the server.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Reply {
    /// It is let in.
    AuthOk(AuthOk),
    /// The first drain is over: the client has everything.
    SyncComplete(SyncComplete),
    /// Answers `list_files`.
    FileList(FileList),
    /// A file changed.
    FileUpdated(Updated),
    /// A file is gone.
    FileDeleted(Deleted),
    /// Answers `download_file`.
    FileContent(FileContent),
    /// An item changed.
    Change(Item),
    /// Answers `get_changes`.
    Changes(Changes),
    /// Many items changed: to be asked for.
    Touched(Touched),
    /// Something happened to a device of the vault.
    Device(DeviceNews),
    /// A change is durable.
    Ack(Ack),
    /// Answers `push`.
    PushResult(PushResult),
    /// An edit of a document, or what was asked for of it.
    DocUpdate(DocUpdate),
    /// Something is refused.
    Error(Problem),
    /// Somebody is there.
    Pong(Pong),
}

/// It is let in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuthOk {
    /// Of which request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub re: Option<Re>,
    /// On whose behalf it acts; none: on nobody's in particular.
    pub user: Option<String>,
    /// Which replica it is, as it said.
    pub device: Option<Device>,
    /// Which vault.
    pub vault: String,
    /// `open`.
    pub mode: String,
    /// `read`, `write` or `admin`, in the vault as a whole.
    pub role: String,
    /// Changes when old versions are void.
    pub epoch: Epoch,
    /// The vault's version now.
    pub version: u64,
    /// Deletions up to here are forgotten.
    pub horizon: u64,
    /// Unix milliseconds.
    pub server_time: u64,
    /// What is refused beyond.
    pub limits: Limits,
}

/// Something happened to a device of the vault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceNews {
    /// Which.
    pub device: Device,
    /// What.
    pub state: DeviceState,
}

/// What happened to a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeviceState {
    /// It is there.
    Connected,
    /// It is there no more.
    Left,
    /// It was away for so long that nothing is kept for it.
    Stale,
    /// It is refused.
    Revoked,
}

/// What is refused beyond.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Bytes of a frame to the server, before and after inflation.
    pub frame_bytes: u64,
    /// Bytes of a text file.
    pub document_bytes: u64,
    /// Bytes of a file.
    pub file_bytes: u64,
    /// Files or items on a page.
    pub page_items: u64,
    /// Operations of a push.
    pub batch_items: u64,
    /// Documents joined at once.
    pub documents: u64,
    /// Seconds that a request for changes over HTTP may wait.
    pub wait_s: u64,
    /// Milliseconds that a stamp may be ahead of the server's time.
    pub clock_drift_ms: u64,
}

impl Default for Limits {
    /// Those that hold unless the configuration says otherwise.
    fn default() -> Limits {
        Limits {
            frame_bytes: limits::MESSAGE_BYTES_MAX as u64,
            document_bytes: limits::TEXT_BYTES_MAX as u64,
            file_bytes: limits::FILE_BYTES_MAX,
            page_items: limits::BATCH_ITEMS_MAX as u64,
            batch_items: limits::BATCH_ITEMS_MAX as u64,
            documents: limits::JOINED_DOCUMENTS_MAX as u64,
            wait_s: limits::WAIT_S_MAX,
            clock_drift_ms: limits::CLOCK_DRIFT_MS,
        }
    }
}

/// The first drain is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SyncComplete {
    /// Live files of the vault.
    pub total_files: u64,
    /// The client holds everything up to here.
    pub current_version: u64,
    /// Bytes of the files that this drain told of.
    pub bytes: u64,
}

/// What a file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FileKind {
    /// Text.
    Text,
    /// Bytes.
    Blob,
    /// A document without text.
    Other,
    /// A document without content.
    Empty,
}

/// A file of a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Its path.
    pub path: String,
    /// Stays when it moves.
    pub id: FileId,
    /// Of its last change.
    pub version: u64,
    /// Bytes of its content.
    pub size: u64,
    /// Of its content, where that is text or bytes.
    pub hash: Option<Hash>,
    /// What it is.
    pub kind: FileKind,
    /// Unix milliseconds.
    pub created_at: u64,
    /// Unix milliseconds.
    pub updated_at: u64,
    /// Who changed it last, where that is somebody in particular.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// It is gone.
    pub deleted: bool,
}

/// A page of files.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileList {
    /// Of which request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub re: Option<Re>,
    /// By version.
    pub files: Vec<Entry>,
    /// Who has taken these in, and all pages before, holds everything up to here.
    pub version: u64,
    /// There is more.
    pub has_more: bool,
    /// Where to go on.
    pub next: Option<u64>,
}

/// A file changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Updated {
    /// Its path.
    pub path: String,
    /// Of this change.
    pub version: u64,
    /// Bytes of its content.
    pub size: u64,
    /// Of its content, where that is text or bytes.
    pub hash: Option<Hash>,
    /// Stays when it moves.
    pub id: FileId,
    /// What it is.
    pub kind: FileKind,
    /// The device that changed it, where that said which it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub by: Option<Device>,
    /// Who changed it, where that is somebody in particular.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// Of the change.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stamp: Option<StampText>,
    /// The path that it had before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
}

/// A file is gone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deleted {
    /// The path that it had.
    pub path: String,
    /// Of this change.
    pub version: u64,
    /// Its id.
    pub id: FileId,
    /// The device that deleted it, where that said which it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub by: Option<Device>,
    /// Who deleted it, where that is somebody in particular.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
}

/// A file's content.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileContent {
    /// Of which request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub re: Option<Re>,
    /// Its path.
    pub path: String,
    /// Stays when it moves.
    pub id: FileId,
    /// This is exactly its content at this version.
    pub version: u64,
    /// Bytes of the content.
    pub size: u64,
    /// Of the content.
    pub hash: Option<Hash>,
    /// What it is.
    pub kind: FileKind,
    /// The content; none where it is to be fetched by `blob`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content: Option<Content>,
    /// How it is written; none: as it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub encoding: Option<Encoding>,
    /// The path of its bytes over HTTP.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub blob: Option<String>,
}

/// What happened to an item.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ItemOp {
    /// This is what it is now.
    Put,
    /// It is gone.
    Delete,
}

/// An item that changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Item {
    /// Its place in the feed.
    pub seq: u64,
    /// What happened.
    pub op: ItemOp,
    /// `files`.
    pub collection: String,
    /// Its id.
    pub id: FileId,
    /// Its path; the last one where it is gone.
    pub path: String,
    /// Bytes of its content.
    pub size: u64,
    /// Of its content, where that is text or bytes.
    pub hash: Option<Hash>,
    /// What it is.
    pub kind: FileKind,
    /// The device that changed it, where that said which it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub by: Option<Device>,
    /// Who changed it, where that is somebody in particular.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
}

/// A page of the feed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Changes {
    /// Of which request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub re: Option<Re>,
    /// By place.
    pub items: Vec<Item>,
    /// Where to go on; none at the end.
    pub next: Option<u64>,
    /// There is more.
    pub has_more: bool,
    /// Who has taken these in, and all pages before, holds everything up to here.
    pub version: u64,
}

/// Many items changed at once: to be asked for with `get_changes`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Touched {
    /// `files`.
    pub collection: String,
    /// Behind this place …
    pub from: u64,
    /// … up to this one …
    pub to: u64,
    /// … so many at least.
    pub count: u64,
}

/// A change is durable.
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ack {
    /// Of which request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub re: Option<Re>,
    /// The file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// Its id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<FileId>,
    /// The version that it has now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<u64>,
    /// Bytes of its content.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    /// Of its content.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hash: Option<Hash>,
    /// It is not what was uploaded: others' edits are in it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub merged: Option<bool>,
    /// Something lost, and is kept as a version.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub conflict: Option<bool>,
    /// The file is new.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created: Option<bool>,
    /// Something is different now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub changed: Option<bool>,
    /// The text of this version, where it was merged.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content: Option<Content>,
    /// Of a folder: files that were moved or deleted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub count: Option<u64>,
    /// Of a folder: files that were edited since the version that was meant, and live.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kept: Option<Vec<Survivor>>,
}

/// A file that lives because it was edited.
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Survivor {
    /// Its path.
    pub path: String,
    /// Its id.
    pub id: FileId,
    /// Of its latest change.
    pub version: u64,
}

/// An operation of a push that is durable.
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Done {
    /// What the client calls it.
    pub id: Re,
    /// The file's id.
    pub item_id: Option<FileId>,
    /// Its places in the feed.
    pub sync_ids: Vec<u64>,
    /// What it came to.
    pub data: Ack,
}

/// An operation of a push that was refused.
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Failed {
    /// What the client calls it.
    pub id: Re,
    /// Why.
    pub error: Problem,
}

/// An operation of a push that was not tried.
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Held {
    /// What the client calls it.
    pub id: Re,
}

/// What came of a push.
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PushResult {
    /// Of which request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub re: Option<Re>,
    /// Durable.
    pub success: Vec<Done>,
    /// Refused.
    pub failures: Vec<Failed>,
    /// Not tried, for what failed before.
    pub blocked: Vec<Held>,
    /// The vault's version.
    pub version: u64,
}

/// Something is refused.
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(as = Refusal))]
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Problem {
    /// Of which request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub re: Option<Re>,
    /// A word of the table of refusals, in capitals.
    pub code: String,
    /// For people.
    pub message: String,
    /// The same request may succeed later.
    pub retryable: bool,
    /// For programs.
    #[serde(default)]
    pub details: Map<String, Value>,
}

/// Somebody is there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pong {
    /// Of which request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub re: Option<Re>,
    /// Unix milliseconds.
    pub server_time: u64,
}
