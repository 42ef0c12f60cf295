//! A large blob out of chunks that are here: what a client does that sends only what is new.
//!
//! Called by `http`. Never takes a client's word for what its chunks make.

use std::collections::BTreeSet;

use sha2::{Digest, Sha256};
use sheaf_protocol::ids::VaultNo;

use super::gathering::Stored;
use super::hash::Hash;
use super::list::{self, Chunk};
use super::{Blobs, Error};

impl Blobs {
    /// Stores a blob that consists of these chunks; it is durable when this returns. Those of them
    /// that are here stay for a day, whatever comes of it.
    ///
    /// # Errors
    /// `BadList`; `TooLarge`; `Missing` with those that are not here; `Mismatch` if they make
    /// another blob; `Damaged`; `Full`, `Io`.
    pub fn assemble(&self, vault: VaultNo, hash: &Hash, chunks: &[Chunk]) -> Result<Stored, Error> {
        list::check(chunks).map_err(Error::BadList)?;
        let bytes_max = self.file_bytes_max();
        if list::size(chunks) > bytes_max {
            return Err(Error::TooLarge { bytes_max });
        }
        let mut missing = Vec::new();
        for chunk in chunks {
            if !self.want_piece(vault, &chunk.hash)? && !missing.contains(&chunk.hash) {
                missing.push(chunk.hash);
            }
        }
        if !missing.is_empty() {
            return Err(Error::Missing(missing));
        }
        let shelf = self.shelf(vault);
        let mut whole = Sha256::new();
        let mut shards = BTreeSet::new();
        for chunk in chunks {
            let content = shelf.load(&chunk.hash, Some(chunk.bytes))?;
            whole.update(content.ok_or_else(|| Error::Missing(vec![chunk.hash]))?);
            shards.insert(chunk.hash.0[0]);
        }
        if Hash(whole.finalize().into()) != *hash {
            return Err(Error::Mismatch);
        }
        shelf.sync_shards(&shards)?;
        let is_new = shelf.store_list(hash, chunks)?;
        let hold = self.hold(vault, hash)?.ok_or(Error::Again)?;
        Ok(Stored { hold, is_new })
    }

    /// As `want`, for a chunk.
    fn want_piece(&self, vault: VaultNo, hash: &Hash) -> Result<bool, Error> {
        let _held = self.inner.held.lock();
        let shelf = self.shelf(vault);
        shelf.stamp(&shelf.piece(hash))
    }
}
