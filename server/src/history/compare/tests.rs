use proptest::prelude::*;

use super::*;
use crate::document::edit::tests::texts;

/// What the hunks make of a text.
fn apply(old: &str, hunks: &[Hunk]) -> String {
    let was: Vec<&str> = old.split_inclusive('\n').collect();
    let (mut out, mut at) = (String::new(), 0);
    for hunk in hunks {
        let start = hunk.old_line.saturating_sub(1).max(at);
        // Without a line of its own a hunk stands behind the line it names.
        let has_old = hunk.lines.iter().any(|line| line.fate != Fate::Added);
        let start = if has_old { start } else { hunk.old_line };
        out.extend(was[at..start].iter().copied());
        at = start;
        for line in &hunk.lines {
            match line.fate {
                Fate::Same => {
                    assert_eq!(was[at], line.text);
                    out.push_str(&line.text);
                    at += 1;
                }
                Fate::Removed => {
                    assert_eq!(was[at], line.text);
                    at += 1;
                }
                Fate::Added => out.push_str(&line.text),
            }
        }
    }
    out.extend(was[at..].iter().copied());
    out
}

#[test]
fn a_unified_diff_is_what_people_know() {
    let old = "one\ntwo\nthree\nfour\nfive\nsix\n";
    let new = "one\ntwo\nthree\nfour\n5\nsix";
    let diff = unified(("a.md@3", old), ("a.md@7", new));
    let due = "--- a.md@3\n+++ a.md@7\n@@ -2,5 +2,5 @@\n two\n three\n four\n-five\n-six\n+5\n\
               +six\n\\ No newline at end of file\n";
    assert_eq!(diff, due);
    assert_eq!(unified(("a", old), ("b", old)), "");
}

#[test]
fn hunks_say_where_they_stand() {
    let found = hunks("a\nb\nc\n", "a\nB\nc\n");
    assert_eq!((found.len(), found[0].old_line, found[0].new_line), (1, 1, 1));
    let fates: Vec<Fate> = found[0].lines.iter().map(|line| line.fate).collect();
    assert_eq!(fates, [Fate::Same, Fate::Removed, Fate::Added, Fate::Same]);
    let found = hunks("", "new\n");
    assert_eq!((found[0].old_line, found[0].new_line), (0, 1));
}

proptest! {
    #[test]
    fn the_hunks_lead_from_one_text_to_the_other(old in texts(), new in texts()) {
        prop_assert_eq!(apply(&old, &hunks(&old, &new)), new);
    }
}
