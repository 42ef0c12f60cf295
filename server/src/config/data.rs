//! The data directory: made or checked before anything opens a file in it.
//!
//! Called by `app` at start. Never leaves documents readable for other users of the machine.

use std::fs::{self, DirBuilder, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::Path;

use super::Error;

/// Read, write and enter for the owner alone.
const MODE: u32 = 0o700;
/// Access for anyone but the owner.
const MODE_OTHERS: u32 = 0o077;

/// Makes the directory, with its parents, or tightens one that others could look into.
///
/// # Errors
/// `Data`, when it is no directory, cannot be made, or belongs to someone else.
pub fn prepare(path: &Path) -> Result<(), Error> {
    let wrong = |why: io::Error| Error::Data { path: path.to_owned(), why: why.to_string() };
    DirBuilder::new().recursive(true).mode(MODE).create(path).map_err(wrong)?;
    let found = fs::metadata(path).map_err(wrong)?;
    if found.mode() & MODE_OTHERS != 0 {
        fs::set_permissions(path, Permissions::from_mode(MODE)).map_err(wrong)?;
        tracing::warn!(
            path = %path.display(),
            mode = format!("{:o}", found.mode() & 0o777),
            "others could look into the data directory: it is 0700 now"
        );
    }
    Ok(())
}
