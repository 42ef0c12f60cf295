//! What can go wrong in the store. Translated once, at the edge that shows it.
//! Never carries content of a document.

use std::io;
use std::path::PathBuf;

use sheaf_protocol::ids::{DocId, DocKey, VaultNo};

use super::keys::{self, Key};

/// A failure of the store.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A document that the witness knows is missing, shorter, or other than it was.
    #[error("document {name:?} ({vault}/{doc}) is damaged at position {position}: {what}")]
    Damaged {
        /// Number of its vault.
        vault: VaultNo,
        /// Its id.
        doc: DocId,
        /// Its name, as the witness has it.
        name: String,
        /// Journal position of the last entry that is right; 0 when none is.
        position: u64,
        /// What is wrong.
        what: String,
    },
    /// A stored value does not pass its checks, and belongs to no document that could be named.
    #[error("stored value {} is damaged: {what}", text(.key))]
    Corrupt {
        /// Its key.
        key: Vec<u8>,
        /// What is wrong.
        what: &'static str,
    },
    /// No such document.
    #[error("no document {0}")]
    Unknown(DocKey),
    /// A checkpoint of entries that are still in the journal alone.
    #[error("document {doc}: checkpoint at entry {n}, but only {folded_n} are folded")]
    NotFolded {
        /// The document.
        doc: DocKey,
        /// The entry asked for.
        n: u64,
        /// The last one that is folded.
        folded_n: u64,
    },
    /// A log may be thinned only below a checkpoint.
    #[error("document {doc}: log thinned to entry {n}, but the checkpoint is at {ckpt_n}")]
    NotCheckpointed {
        /// The document.
        doc: DocKey,
        /// The entry asked for.
        n: u64,
        /// The last one in a checkpoint.
        ckpt_n: u64,
    },
    /// A value over its limit.
    #[error("value of {bytes} bytes, the limit is {bytes_max}")]
    TooLarge {
        /// Its size.
        bytes: usize,
        /// The limit.
        bytes_max: usize,
    },
    /// The engine says no.
    #[error("store engine: {what}: {cause}")]
    Engine {
        /// The operation.
        what: &'static str,
        /// What the engine said.
        cause: String,
    },
    /// The engine panicked, which sled does when its files are damaged.
    #[error(
        "store engine failed in {what}: {cause}; its files are probably damaged: \
         copy the data directory before anything else, then run `sheaf verify`"
    )]
    EnginePanic {
        /// The operation.
        what: &'static str,
        /// The panic's message.
        cause: String,
    },
    /// The witness's file is bad before its end.
    #[error("the witness is damaged at byte {offset}: {what}")]
    WitnessDamaged {
        /// Where in its file.
        offset: u64,
        /// What is wrong.
        what: &'static str,
    },
    /// The stored format is not one this build reads.
    #[error("stored format {found}; this build reads up to {newest}")]
    Format {
        /// The version found.
        found: u32,
        /// The newest version known.
        newest: u32,
    },
    /// Part of an existing data directory is not there.
    #[error("{} is missing from the data directory", path.display())]
    Missing {
        /// What is missing.
        path: PathBuf,
    },
    /// Another process has the data directory.
    #[error("{} is in use: a server is running on it", dir.display())]
    InUse {
        /// The directory.
        dir: PathBuf,
    },
    /// The file system says no.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What it said.
        source: io::Error,
    },
}

impl Error {
    pub(super) fn corrupt(key: &[u8], what: &'static str) -> Self {
        Self::Corrupt { key: key.to_vec(), what }
    }
}

fn text(key: &[u8]) -> String {
    match (Key::of(key), keys::doc_of(key)) {
        (Some(kind), Some(doc)) => format!("{kind:?} of {doc}"),
        (Some(kind), None) => format!("{kind:?}"),
        _ => format!("of {} bytes of unknown key", key.len()),
    }
}
