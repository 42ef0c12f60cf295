//! What a client says.
//!
//! Read by the server's channel, written by clients. Fields that are not known are passed over.

use serde::{Deserialize, Serialize};

use super::scalar::{
    Batch, Binary, Content, Device, Diff, Encoding, Epoch, FileId, Hash, Re, StampText, Token,
    Unit, at_most,
};

/// One message of a client.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Request {
    /// Who it is; first.
    Auth(Auth),
    /// A page of files.
    ListFiles(ListFiles),
    /// A page of the feed.
    GetChanges(GetChanges),
    /// A whole file.
    UploadFile(Upload),
    /// A file, now or at a version.
    DownloadFile(Download),
    /// A file goes.
    DeleteFile(Delete),
    /// A file gets another path.
    MoveFile(Move),
    /// Many operations.
    Push(Push),
    /// What it holds.
    Ack(Acknowledge),
    /// It joins a document.
    DocSync(DocSync),
    /// An edit of a document.
    DocUpdate(DocUpdate),
    /// It leaves a document.
    DocClose(DocClose),
    /// Is somebody there?
    Ping(Ping),
}

/// The words of [`Request`].
pub(super) const KINDS: [&str; 13] = [
    "auth",
    "list_files",
    "get_changes",
    "upload_file",
    "download_file",
    "delete_file",
    "move_file",
    "push",
    "ack",
    "doc_sync",
    "doc_update",
    "doc_close",
    "ping",
];

/// In which form a session hears of changes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum View {
    /// `file_updated` and `file_deleted`.
    #[default]
    Files,
    /// `change`.
    Items,
}

/// Who it is, which vault, and where it is in the feed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Auth {
    /// The request's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub re: Option<Re>,
    /// Its token; absent where the upgrade had one, or where nobody needs one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token: Option<Token>,
    /// The vault; absent where the path names it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vault: Option<String>,
    /// Which replica it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device: Option<Device>,
    /// It holds everything up to here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<u64>,
    /// The epoch that `since` is of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub epoch: Option<Epoch>,
    /// How it wants to hear of changes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub view: Option<View>,
    /// Binary frames may come compressed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub compress: Option<bool>,
}

/// Files that changed behind a version, as they are now; from 0 all that live.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListFiles {
    /// The request's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub re: Option<Re>,
    /// It holds everything up to here.
    #[serde(default, alias = "since")]
    pub since_version: u64,
    /// At most so many.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<u64>,
}

/// Items that changed behind a place in the feed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GetChanges {
    /// The request's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub re: Option<Re>,
    /// It holds everything up to here.
    #[serde(default, alias = "since_version")]
    pub since: u64,
    /// At most so many.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<u64>,
    /// Of these collections only.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "at_most::<64, _, _>"
    )]
    pub collections: Option<Vec<String>>,
    /// Records of this owner only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owner: Option<Device>,
    /// Behind this stamp.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since_stamp: Option<StampText>,
    /// From this device only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub origin: Option<Device>,
}

/// A whole file, in one of three ways: its content, the hash of bytes that are there already, or
/// the difference to a version.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Upload {
    /// The request's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub re: Option<Re>,
    /// Which.
    pub path: String,
    /// All of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content: Option<Content>,
    /// How `content` is written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub encoding: Option<Encoding>,
    /// Of bytes that were put before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub blob: Option<Hash>,
    /// From the text at `base_version`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub diff: Option<Diff>,
    /// What `diff` counts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unit: Option<Unit>,
    /// The version that was edited; 0: the file was never seen; absent: it replaces what is there.
    #[serde(default, alias = "version", skip_serializing_if = "Option::is_none")]
    pub base_version: Option<u64>,
    /// Names the change: sent again, it changes nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stamp: Option<StampText>,
    /// The client's time, in Unix milliseconds: kept with the version, and never used for order.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timestamp: Option<u64>,
}

/// A file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Download {
    /// The request's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub re: Option<Re>,
    /// Which.
    pub path: String,
    /// At this version; absent: now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<u64>,
}

/// A file goes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delete {
    /// The request's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub re: Option<Re>,
    /// Which.
    pub path: String,
    /// Only what was there at this version: a later edit wins.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub base_version: Option<u64>,
    /// Names the change.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stamp: Option<StampText>,
}

/// A file gets another path.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Move {
    /// The request's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub re: Option<Re>,
    /// Which.
    pub path: String,
    /// Its new path.
    pub to: String,
    /// Names the change.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stamp: Option<StampText>,
}

/// How operations of a push depend on each other.
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PushMode {
    /// One after the other; behind a failure nothing is done.
    #[default]
    Ordered,
    /// Each for itself.
    Independent,
    /// All or none.
    Atomic,
}

/// Many operations.
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Push {
    /// The request's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub re: Option<Re>,
    /// At most 1,000.
    #[cfg_attr(feature = "openapi", schema(value_type = Vec<Operation>, max_items = 1000))]
    pub items: Batch,
    /// How they depend on each other.
    #[serde(default)]
    pub mode: PushMode,
}

/// What an operation does.
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OperationKind {
    /// As [`Upload`].
    UploadFile,
    /// As [`Delete`].
    DeleteFile,
    /// As [`Move`].
    MoveFile,
}

/// One operation of a push: the fields of what `type` says.
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Operation {
    /// What the client calls it.
    pub id: Re,
    /// What it does.
    pub r#type: OperationKind,
    /// See [`Upload`].
    pub path: String,
    /// See [`Move`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
    /// See [`Upload`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content: Option<Content>,
    /// See [`Upload`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub encoding: Option<Encoding>,
    /// See [`Upload`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub blob: Option<Hash>,
    /// See [`Upload`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub diff: Option<Diff>,
    /// See [`Upload`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unit: Option<Unit>,
    /// See [`Upload`] and [`Delete`].
    #[serde(default, alias = "version", skip_serializing_if = "Option::is_none")]
    pub base_version: Option<u64>,
    /// Names the change.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stamp: Option<StampText>,
    /// See [`Upload`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timestamp: Option<u64>,
}

impl Operation {
    /// The request that it is; none: a move without its new path.
    #[must_use]
    pub fn into_request(self) -> Option<Request> {
        let Operation { r#type, path, base_version, stamp, .. } = self;
        let re = None;
        Some(match r#type {
            OperationKind::UploadFile => Request::UploadFile(Upload {
                re,
                path,
                content: self.content,
                encoding: self.encoding,
                blob: self.blob,
                diff: self.diff,
                unit: self.unit,
                base_version,
                stamp,
                timestamp: self.timestamp,
            }),
            OperationKind::DeleteFile => {
                Request::DeleteFile(Delete { re, path, base_version, stamp })
            }
            OperationKind::MoveFile => Request::MoveFile(Move { re, path, to: self.to?, stamp }),
        })
    }
}

/// It holds everything up to a version, or up to a change of its own.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Acknowledge {
    /// The request's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub re: Option<Re>,
    /// The version.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<u64>,
    /// The change.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stamp: Option<StampText>,
}

/// It joins a document: what it lacks is sent, and then every edit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DocSync {
    /// The request's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub re: Option<Re>,
    /// The file's id.
    pub id: FileId,
    /// The Yjs state vector of what it holds; absent: nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sv: Option<Binary>,
}

/// It leaves a document: no edits of it are sent any more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DocClose {
    /// The request's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub re: Option<Re>,
    /// The file's id.
    pub id: FileId,
}

/// Is somebody there?
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ping {
    /// The request's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub re: Option<Re>,
}

/// An edit of a document, in either direction.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DocUpdate {
    /// The request's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub re: Option<Re>,
    /// The file's id.
    pub id: FileId,
    /// A Yjs update, v1.
    pub update: Binary,
}

impl Request {
    /// What the client calls it.
    #[must_use]
    pub fn re(&self) -> Option<&Re> {
        match self {
            Request::Auth(it) => it.re.as_ref(),
            Request::ListFiles(it) => it.re.as_ref(),
            Request::GetChanges(it) => it.re.as_ref(),
            Request::UploadFile(it) => it.re.as_ref(),
            Request::DownloadFile(it) => it.re.as_ref(),
            Request::DeleteFile(it) => it.re.as_ref(),
            Request::MoveFile(it) => it.re.as_ref(),
            Request::Push(it) => it.re.as_ref(),
            Request::Ack(it) => it.re.as_ref(),
            Request::DocSync(it) => it.re.as_ref(),
            Request::DocUpdate(it) => it.re.as_ref(),
            Request::DocClose(it) => it.re.as_ref(),
            Request::Ping(it) => it.re.as_ref(),
        }
    }
}
