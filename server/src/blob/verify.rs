//! Everything that is kept of blobs is read and hashed.
//!
//! Called by `cli` on the data directory of a stopped server. Never changes anything.

use std::path::Path;

use sheaf_protocol::ids::VaultNo;

use super::hash::Hash;
use super::shelf::{Form, Shelf};
use super::{Blobs, Config, Error};
use sheaf_ground::time::Clock;

/// What was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verified {
    /// Pieces: small blobs, and chunks of large ones.
    pub pieces: u64,
    /// Large blobs.
    pub lists: u64,
    /// Bytes of all pieces.
    pub bytes: u64,
    /// What is not as it was written.
    pub damages: Vec<Damage>,
}

/// A blob that is not as it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// The vault that has it.
    pub vault: VaultNo,
    /// The blob, or the chunk of one.
    pub hash: Hash,
    /// What is wrong.
    pub what: &'static str,
}

/// Checks the blobs in a directory; `show` is told after each piece how many there were.
///
/// # Errors
/// `Io`.
pub fn verify(dir: &Path, show: &mut dyn FnMut(u64)) -> Result<Verified, Error> {
    let config = Config::new(dir.to_owned(), u64::MAX, Clock::system());
    let blobs = Blobs::over(config);
    let mut verified = Verified::default();
    for vault in blobs.vaults()? {
        let shelf = blobs.shelf(vault);
        for first in 0..=u8::MAX {
            for (hash, form) in shelf.content(first)? {
                match check(&shelf, &hash, form) {
                    Ok(bytes) => verified.bytes += bytes,
                    Err(Error::Damaged { hash, what }) => {
                        verified.damages.push(Damage { vault, hash, what });
                    }
                    Err(error) => return Err(error),
                }
                match form {
                    Form::Piece => verified.pieces += 1,
                    Form::List => verified.lists += 1,
                }
                show(verified.pieces);
            }
        }
    }
    Ok(verified)
}

/// Checks one file; bytes of a piece.
fn check(shelf: &Shelf<'_>, hash: &Hash, form: Form) -> Result<u64, Error> {
    if form == Form::Piece {
        let content = shelf.load(hash, None)?;
        return Ok(content.map_or(0, |content| content.len() as u64));
    }
    for chunk in shelf.chunks(hash)?.unwrap_or_default() {
        if !shelf.piece(&chunk.hash).exists() {
            return Err(Error::Damaged { hash: chunk.hash, what: "it is missing" });
        }
    }
    Ok(0)
}
