//! A folder that documents are written into, and the names their files get there.
//!
//! Used by `export`. Every step goes through an open folder and refuses symbolic links, so nothing
//! is ever written outside, whatever lies in the folder or is put there meanwhile. Never follows a
//! link, never overwrites a file unless told to.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::{AtFlags, CWD, Mode, OFlags};
use rustix::io::Errno;
use sheaf_protocol::vault::{alias_of, check_path};

/// Of files and folders; the umask takes away from it.
const MODE: u32 = 0o666;
const FOLDER_MODE: u32 = 0o777;
/// Longer parts no disk takes.
const PART_BYTES_MAX: usize = 255;

/// An open folder.
pub(super) struct Folder {
    root: OwnedFd,
}

impl Folder {
    /// Opens a folder, made with its parents if need be. The folder itself may be reached by a
    /// link: that is what the user named.
    pub(super) fn open(path: &Path) -> io::Result<Folder> {
        std::fs::create_dir_all(path)?;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Ok(Folder { root: rustix::fs::openat(CWD, path, flags, Mode::empty())? })
    }

    /// Whether nothing is in it.
    pub(super) fn is_empty(path: &Path) -> io::Result<bool> {
        Ok(std::fs::read_dir(path)?.next().is_none())
    }

    /// Writes a file below it, with the folders on the way. `name` comes from [`Names`].
    pub(super) fn write(&self, name: &str, text: &str, may_replace: bool) -> io::Result<()> {
        let mut parts: Vec<&str> = name.split('/').collect();
        let file = parts.pop().unwrap_or_default();
        let is_step = |part: &str| matches!(part, "" | "." | "..");
        if parts.iter().any(|part| is_step(part)) || is_step(file) {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "no name of a file"));
        }
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mut folder = None;
        for part in parts {
            let at = folder.as_ref().unwrap_or(&self.root);
            match rustix::fs::mkdirat(at, part, Mode::from_raw_mode(FOLDER_MODE)) {
                Ok(()) | Err(Errno::EXIST) => {}
                Err(error) => return Err(error.into()),
            }
            folder = Some(rustix::fs::openat(at, part, flags, Mode::empty()).map_err(on_the_way)?);
        }
        let at = folder.as_ref().unwrap_or(&self.root);
        if may_replace {
            // A new file in its place: what the old name led to, a link, say, is left alone.
            match rustix::fs::unlinkat(at, file, AtFlags::empty()) {
                Ok(()) | Err(Errno::NOENT) => {}
                Err(error) => return Err(error.into()),
            }
        }
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        let opened = rustix::fs::openat(at, file, flags, Mode::from_raw_mode(MODE));
        let mut opened = File::from(opened.map_err(in_place)?);
        opened.write_all(text.as_bytes())
    }
}

fn on_the_way(error: Errno) -> io::Error {
    match error {
        Errno::LOOP | Errno::NOTDIR => {
            io::Error::other("a file or a symbolic link is in the way of a folder")
        }
        error => error.into(),
    }
}

fn in_place(error: Errno) -> io::Error {
    match error {
        Errno::EXIST => io::Error::other("there is such a file already; --force replaces it"),
        error => error.into(),
    }
}

/// Gives each document a file name that every disk takes, different from all others.
pub(super) struct Names {
    /// What some disk would take for one name, and who has it.
    taken: HashSet<String>,
    /// Paths that are folders of others, in the same form.
    folders: HashSet<String>,
    tries: HashMap<String, usize>,
}

impl Names {
    /// For these documents. Those whose paths are legal keep them, whatever else there is.
    pub(super) fn new<'a>(paths: impl Iterator<Item = &'a str> + Clone) -> Names {
        let mut names =
            Names { taken: HashSet::new(), folders: HashSet::new(), tries: HashMap::new() };
        for path in paths.filter(|path| check_path(path).is_ok()) {
            let alias = alias_of(path);
            for (at, _) in alias.match_indices('/') {
                names.folders.insert(alias[..at].to_owned());
            }
        }
        names
    }

    /// The name for a document's file; to be asked in the order of paths.
    pub(super) fn name(&mut self, path: &str) -> String {
        if check_path(path).is_ok() && self.take(path) {
            return path.to_owned();
        }
        let escaped = escape(path);
        loop {
            let tries = self.tries.entry(escaped.clone()).or_default();
            *tries += 1;
            // The name itself is taken where nothing had to be escaped.
            let name = match *tries + usize::from(escaped == path) {
                1 => escaped.clone(),
                number => format!("{escaped}~{number}"),
            };
            if self.take(&name) {
                return name;
            }
        }
    }

    fn take(&mut self, name: &str) -> bool {
        let alias = alias_of(name);
        let is_below = |(at, _): (usize, &str)| self.taken.contains(&alias[..at]);
        if self.folders.contains(&alias) || alias.match_indices('/').any(is_below) {
            return false;
        }
        for (at, _) in alias.match_indices('/') {
            self.folders.insert(alias[..at].to_owned());
        }
        self.taken.insert(alias)
    }
}

/// One file name for a path that is none: everything but letters, digits and a few marks becomes
/// `%XX`. It stands at the top of the folder.
fn escape(path: &str) -> String {
    let mut escaped = String::new();
    for char in path.chars() {
        if char.is_ascii_alphanumeric() || matches!(char, ' ' | '-' | '_') {
            escaped.push(char);
        } else if char == '.' && !escaped.is_empty() {
            escaped.push('.');
        } else {
            let mut bytes = [0; 4];
            let encoded = char.encode_utf8(&mut bytes).bytes();
            encoded.for_each(|byte| escaped += &format!("%{byte:02X}"));
        }
    }
    // Room for a number behind it; what is cut off can be read in the report.
    escaped.truncate(PART_BYTES_MAX - 16);
    if escaped.ends_with(['.', ' ']) || check_path(&escaped).is_err() {
        escaped.push('_');
    }
    if check_path(&escaped).is_ok() { escaped } else { format!("_{escaped}") }
}

#[cfg(test)]
mod tests;
