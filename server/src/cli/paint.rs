//! Colours of what commands say: few, and only a hint.
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
