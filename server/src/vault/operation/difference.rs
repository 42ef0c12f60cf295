//! A text from another one and the difference to it, as thin clients send it.
//!
//! Called by `files`. Never cuts inside a character.

use std::str::Chars;

use sheaf_protocol::control::{Diff, DiffStep, Unit};

/// The text that a difference leads to.
///
/// # Errors
/// What is wrong with the difference.
pub(super) fn applied(text: &str, diff: &Diff, unit: Unit) -> Result<String, &'static str> {
    let mut rest = text.chars();
    let mut whole = String::with_capacity(text.len());
    for step in &diff.0 {
        match step {
            DiffStep::Insert(text) => whole.push_str(text),
            DiffStep::Keep(count) => whole.push_str(passed(&mut rest, *count, unit)?),
            DiffStep::Delete(count) => drop(passed(&mut rest, *count, unit)?),
        }
    }
    whole.push_str(rest.as_str());
    Ok(whole)
}

/// So much of the text, passed over.
fn passed<'t>(rest: &mut Chars<'t>, count: u64, unit: Unit) -> Result<&'t str, &'static str> {
    let from = rest.as_str();
    let mut left = count;
    while left > 0 {
        let char = rest.next().ok_or("it reaches beyond the end of the text")?;
        let size = match unit {
            Unit::Utf16 => char.len_utf16() as u64,
            Unit::Unicode => 1,
            Unit::Utf8 => char.len_utf8() as u64,
        };
        left = left.checked_sub(size).ok_or("it begins or ends inside a character")?;
    }
    Ok(&from[..from.len() - rest.as_str().len()])
}

#[cfg(test)]
mod tests;
