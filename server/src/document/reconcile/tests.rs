use std::time::Duration;

use proptest::prelude::*;
use sheaf_ground::time::Clock;

use super::*;
use crate::document::diff::{self, Until};
use crate::document::edit::tests::{apply, texts};
use crate::document::snapshot::Content;
use crate::document::state::State;
use crate::document::state::fork::Fork;

fn between<'a>(old: &str, new: &'a str) -> Vec<Step<'a>> {
    let (clock, _hand) = Clock::test(0);
    diff::steps(old, new, Until::new(&clock, clock.now() + Duration::from_secs(1)))
}

/// A document that people upload whole texts to.
struct Live {
    state: State,
    uploads: u32,
}

impl Live {
    fn of(text: &str) -> Self {
        let mut live = Self { state: State::new(), uploads: 0 };
        let empty = live.state.encode();
        live.upload(&empty, "", text);
        live
    }

    fn text(&mut self) -> String {
        match self.state.content("content") {
            Content::Text { text, .. } => text,
            Content::Empty => String::new(),
            other => panic!("no text: {other:?}"),
        }
    }

    /// Somebody uploads what was made of `base`, the document's text when it had this state.
    fn upload(&mut self, state: &[u8], base: &str, new: &str) {
        let now = self.text();
        let steps = reconcile(base, &between(base, &now), &between(base, new));
        if steps.is_empty() {
            return;
        }
        self.uploads += 1;
        let update = Fork::of(state, self.uploads).expect("a copy").edit("content", &steps);
        self.state.replay(&update).expect("merges");
    }
}

/// What becomes of two texts made of one base, uploaded in this order.
fn merged(base: &str, first: &str, second: &str) -> String {
    let mut live = Live::of(base);
    let state = live.state.encode();
    for _ in 0..2 {
        live.upload(&state, base, first);
        assert_eq!(live.text(), first, "the first upload is the text, also when it is tried again");
    }
    live.upload(&state, base, second);
    live.text()
}

/// The same in both orders.
fn both(base: &str, one: &str, other: &str) -> [String; 2] {
    [merged(base, one, other), merged(base, other, one)]
}

fn check(base: &str, one: &str, other: &str, wanted: &str) {
    assert_eq!(both(base, one, other), [wanted, wanted], "{one:?} and {other:?}");
}

#[test]
fn lines_that_two_add_at_the_end_are_both_there_once() {
    let [first, second] = both("start\n", "start\nline A\n", "start\nline B\n");
    assert_eq!(first.len(), "start\nline A\nline B\n".len(), "{first:?}");
    for line in ["start\n", "line A\n", "line B\n"] {
        assert_eq!(first.matches(line).count(), 1, "{first:?}");
        assert_eq!(second.matches(line).count(), 1, "{second:?}");
    }
}

#[test]
fn different_words_of_one_line_are_all_changed() {
    check(
        "The quick fox jumps over the lazy dog.",
        "The quick red fox jumps over the lazy dog.",
        "The quick fox jumps over the very lazy dog.",
        "The quick red fox jumps over the very lazy dog.",
    );
    check("Hello world", "Hello beautiful world", "Hello world!", "Hello beautiful world!");
}

#[test]
fn a_line_that_one_deletes_and_the_other_edits_stays_as_edited() {
    let base = "Line 1\nLine 2\nLine 3";
    check(
        base,
        "Line 1\nLine 3",
        "Line 1\nLine 2 modified\nLine 3",
        "Line 1\nLine 2 modified\nLine 3",
    );
    check(base, "Line 1\nLine 3", "Line 1\nThe Line 2\nLine 3", "Line 1\nThe Line 2\nLine 3");
    check(base, "Line 1\nLine 2", "Line 1\nLine 2\nLine 3!", "Line 1\nLine 2\nLine 3!");
    check(base, "Line 3", "Line 1\nLine 2 modified\nLine 3", "Line 2 modified\nLine 3");
}

#[test]
fn several_words_of_a_line_that_was_deleted_come_back_as_one_line() {
    let base = "one\nthe cat sat on the mat\ntwo\n";
    let edited = "one\nthe dog sat on the rug\ntwo\n";
    check(base, "one\ntwo\n", edited, edited);
}

#[test]
fn what_both_add_is_there_once() {
    check("a b", "a new b", "a new b", "a new b");
    check("one\ntwo\n", "one\nadded\ntwo\n", "one\nadded\ntwo\n", "one\nadded\ntwo\n");
    check("one\ntwo\n", "one\n", "one\n", "one\n");
    check("one\ntwo\n", "one\nadded\ntwo\n", "zero\none\nadded\ntwo\n", "zero\none\nadded\ntwo\n");
}

#[test]
fn a_word_that_both_replace_is_there_as_both_have_it() {
    let [first, second] = both("a red car", "a green car", "a blue car");
    let wanted = ["a greenblue car", "a bluegreen car"];
    assert!(wanted.contains(&&*first) && wanted.contains(&&*second), "{first:?} {second:?}");
}

#[test]
fn an_upload_on_a_base_that_is_all_gone_finds_its_place() {
    let base = "one\ntwo\nthree\n";
    check(base, "one\nnew\ntwo\nthree\n", "", "new\n");
}

#[test]
fn a_line_added_beside_a_deleted_one_is_added() {
    check("one\ntwo\nthree\n", "one\nthree\n", "one\ntwo\nnew\nthree\n", "one\nnew\nthree\n");
    check("one\n\nthree\n", "one\nthree\n", "one\n\nnew\nthree\n", "one\nnew\nthree\n");
}

#[test]
fn ends_of_lines_and_wide_characters_are_counted_right() {
    check("a😀\r\nb😀\r\n", "a😀\r\n", "a😀\r\nb😁\r\n", "a😀\r\nb😁\r\n");
    check("é\n漢😀字\nü", "é\nü", "é\n漢😀😀字\nü", "é\n漢😀😀字\nü");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3_000))]

    #[test]
    fn an_upload_on_the_text_that_is_there_becomes_the_text(old in texts(), new in texts()) {
        let steps = reconcile(&old, &[], &between(&old, &new));
        prop_assert_eq!(apply(&old, &steps), new);
    }

    #[test]
    fn two_uploads_merge(
        base in texts(), one in texts(), other in texts(),
    ) {
        both(&base, &one, &other);
    }

    /// Lines that only one of the two has touched end as that one wants them.
    #[test]
    fn edits_of_different_lines_do_not_meet(
        words in prop::collection::vec("[a-z]{3,8}", 4..12),
        at in 0_usize..12,
        change in "[A-Z]{1,4}",
    ) {
        let lines: Vec<String> =
            words.iter().enumerate().map(|(at, word)| format!("{at} {word}\n")).collect();
        let (mine, yours) = (at % lines.len(), (at + 2) % lines.len());
        let edited = |places: &[usize]| -> String {
            let line = |(at, line): (usize, &String)| match places.contains(&at) {
                true => format!("{change} {line}"),
                false => line.clone(),
            };
            lines.iter().enumerate().map(line).collect()
        };
        let wanted = edited(&[mine, yours]);
        let merged = both(&lines.concat(), &edited(&[mine]), &edited(&[yours]));
        prop_assert_eq!(merged, [wanted.clone(), wanted]);
    }
}
