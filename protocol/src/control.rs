//! The vault channel: what both ends say to each other about the files of a vault.
//!
//! Called by the server's channel and by clients. One message is one frame: JSON in a text frame,
//! MessagePack with the same field names in a binary one. The bytes are checked before anything is
//! built of them: what is kept is bounded by their number, and no nesting recurses.

mod form;
mod guard;
mod pack;
mod reply;
mod request;
mod scalar;
#[cfg(feature = "openapi")]
mod schema;
#[cfg(test)]
mod tests;

pub use form::{Form, Misread, inflated_bytes, read_push, read_reply, read_request, write};
pub use pack::{PACK_BYTES_MIN, pack};
pub use reply::{
    Ack, AuthOk, Changes, Deleted, DeviceNews, DeviceState, Done, Entry, Failed, FileContent,
    FileKind, FileList, Held, Item, ItemOp, Limits, Pong, Problem, PushResult, Reply, Survivor,
    SyncComplete, Touched, Updated,
};
pub use request::{
    Acknowledge, Auth, Delete, DocClose, DocSync, DocUpdate, Download, GetChanges, ListFiles, Move,
    Operation, OperationKind, Ping, Push, PushMode, Request, Upload, View,
};
pub use scalar::{
    Batch, Binary, Content, Device, Diff, DiffStep, Encoding, Epoch, FileId, Hash, Re, StampText,
    Token, Unit,
};

/// The WebSocket subprotocol by which a client says that it speaks this.
pub const SUBPROTOCOL: &str = "sheaf.v1";
