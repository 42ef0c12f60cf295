//! Names as a terminal gets them.

use super::*;

#[test]
fn a_name_cannot_write_on_the_terminal() {
    assert_eq!(shown("plans/früh.md"), "plans/früh.md");
    assert_eq!(shown("a\nb\u{1b}[31m"), "a\\nb\\u{1b}[31m");
    assert_eq!(shown("\u{202e}gnp.exe"), "\\u{202e}gnp.exe");
}
