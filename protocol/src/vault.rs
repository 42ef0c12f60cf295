//! The rules of paths in a vault: which names a file may have on any disk, and which are one.
//!
//! Called by whoever creates, moves or mirrors a file. A plain room needs none of this: it may have
//! any name and has no file on a disk.

use std::ops::Range;

use unicode_normalization::{UnicodeNormalization, is_nfc};

use crate::ids::DocId;
use crate::limits::{DOCUMENT_NAME_BYTES_MAX, PATH_PART_BYTES_MAX};

/// What of a document's id tells two documents apart that had one name: of the ten characters of
/// its moment those that change within 400 days.
const MOMENT: Range<usize> = 3..10;

/// What is longer behind the last dot is no extension.
const EXTENSION_BYTES_MAX: usize = 16;

/// Why a path is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum BadPath {
    /// Nothing, or more than 1,024 bytes.
    #[error("a path has 1 to 1024 bytes")]
    Length,
    /// A part of more than 255 bytes.
    #[error("a part of a path has at most 255 bytes")]
    PartLength,
    /// It begins or ends with `/`, or has two in a row.
    #[error("a path is relative and has no empty part")]
    EmptyPart,
    /// A part is `.` or `..`.
    #[error("no part of a path is . or ..")]
    Traversal,
    /// A control character, NUL among them.
    #[error("a path has no control characters")]
    Control,
    /// A character that turns the direction of text, so that a name shows as another.
    #[error("a path has no characters that change the direction of text")]
    Direction,
    /// One of `\ : * ? " < > |`.
    #[error(r#"a path has none of \ : * ? " < > |"#)]
    Reserved,
    /// A part ends with a dot or a space: Windows drops those.
    #[error("no part of a path ends with a dot or a space")]
    TrailingDotOrSpace,
    /// A part names a device of Windows, with or without an extension.
    #[error("no part of a path is a device name such as CON or COM1")]
    Device,
    /// Not in Unicode normalisation form C.
    #[error("a path is in Unicode normalisation form C")]
    NotNormalised,
}

/// Checks that every disk can hold a file of this path: relative, `/` between parts, in NFC.
///
/// # Errors
/// The first rule that it breaks.
pub fn check_path(path: &str) -> Result<(), BadPath> {
    if !(1..=DOCUMENT_NAME_BYTES_MAX).contains(&path.len()) {
        return Err(BadPath::Length);
    }
    path.chars().try_for_each(check_char)?;
    path.split('/').try_for_each(check_part)?;
    if is_nfc(path) { Ok(()) } else { Err(BadPath::NotNormalised) }
}

fn check_char(char: char) -> Result<(), BadPath> {
    match char {
        '\\' | ':' | '*' | '?' | '"' | '<' | '>' | '|' => Err(BadPath::Reserved),
        '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {
            Err(BadPath::Direction)
        }
        char if char.is_control() => Err(BadPath::Control),
        _ => Ok(()),
    }
}

fn check_part(part: &str) -> Result<(), BadPath> {
    match part {
        "" => Err(BadPath::EmptyPart),
        "." | ".." => Err(BadPath::Traversal),
        part if part.len() > PATH_PART_BYTES_MAX => Err(BadPath::PartLength),
        part if part.ends_with(['.', ' ']) => Err(BadPath::TrailingDotOrSpace),
        part if is_device(part) => Err(BadPath::Device),
        _ => Ok(()),
    }
}

/// Windows looks at what is before the first dot, without the spaces before that.
fn is_device(part: &str) -> bool {
    let stem = part.split('.').next().unwrap_or(part).trim_end_matches(' ');
    let mut upper = stem.to_ascii_uppercase();
    if ["CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$"].contains(&upper.as_str()) {
        return true;
    }
    let is_number = upper.pop().is_some_and(|last| matches!(last, '1'..='9' | '¹' | '²' | '³'));
    is_number && (upper == "COM" || upper == "LPT")
}

/// The form in which two paths are equal that a disk may take for one: without case, in NFC.
#[must_use]
pub fn alias_of(path: &str) -> String {
    if path.is_ascii() {
        return path.to_ascii_lowercase();
    }
    // Up and down again folds what has one form upwards and two downwards: ß and ss, σ and ς.
    let fold = |path: &str| -> String {
        let upper = path.nfd().flat_map(char::to_uppercase);
        upper.flat_map(char::to_lowercase).nfc().collect()
    };
    let once = fold(path);
    // Composing may give a character that folds on.
    fold(&once)
}

/// The name by which a document is found whose own is another's: `notes (conflict 7EBTG37).md`,
/// with characters of the moment in its id; `is_whole`: with all of its id, which no other has.
/// Derived alike wherever both are known, so nobody renames against anybody.
#[must_use]
pub fn conflict_of(path: &str, doc: DocId, is_whole: bool) -> String {
    let id = doc.to_string();
    let mark = format!(" (conflict {})", if is_whole { &id } else { &id[MOMENT] });
    let part = path.rfind('/').map_or(0, |slash| slash + 1);
    let extension = path[part..].rfind('.').filter(|dot| *dot > 0).map(|dot| part + dot);
    let extension = extension.filter(|dot| path.len() - dot <= EXTENSION_BYTES_MAX);
    let (stem, extension) = path.split_at(extension.unwrap_or(path.len()));
    let added = mark.len() + extension.len();
    let room = (DOCUMENT_NAME_BYTES_MAX - added).min(part + PATH_PART_BYTES_MAX - added);
    let end = (0..=stem.len().min(room)).rev().find(|end| stem.is_char_boundary(*end));
    format!("{}{mark}{extension}", &stem[..end.unwrap_or(0)])
}

#[cfg(test)]
mod tests;
