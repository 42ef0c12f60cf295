//! What commands say, on a terminal: colours, few and only a hint, and names that do no harm there.
//!
//! Used by all commands, whose output goes through `anstream`: that takes the colours out again
//! where `NO_COLOR` is set or nobody looks at a terminal. Never the only carrier of a meaning.

use clap::builder::styling::{AnsiColor, Style};

/// Something is wrong.
pub(super) fn bad(text: &str) -> String {
    painted(AnsiColor::Red.on_default().bold(), text)
}

/// Something may be wrong.
pub(super) fn doubtful(text: &str) -> String {
    painted(AnsiColor::Yellow.on_default().bold(), text)
}

/// All is well.
pub(super) fn good(text: &str) -> String {
    painted(AnsiColor::Green.on_default().bold(), text)
}

/// Less important than the rest of its line.
pub(super) fn faint(text: &str) -> String {
    painted(Style::new().dimmed(), text)
}

fn painted(style: Style, text: &str) -> String {
    format!("{style}{text}{style:#}")
}

/// A path on one line and without power over the terminal.
pub(super) fn shown(path: &str) -> String {
    // Control characters, and those that turn the direction of text.
    let is_wild = |char: char| {
        let turns = ['\u{200e}'..='\u{200f}', '\u{202a}'..='\u{202e}', '\u{2066}'..='\u{2069}'];
        char.is_control() || turns.iter().any(|range| range.contains(&char))
    };
    let mut shown = String::with_capacity(path.len());
    for char in path.chars() {
        if is_wild(char) {
            shown.extend(char.escape_default());
        } else {
            shown.push(char);
        }
    }
    shown
}

#[cfg(test)]
mod tests;
