use std::time::Duration;

use proptest::prelude::*;
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use rand::seq::{IndexedRandom as _, SliceRandom as _};

use super::*;
use crate::document::edit::tests::{apply, texts};

fn between<'a>(old: &str, new: &'a str) -> Vec<Step<'a>> {
    let (clock, _hand) = Clock::test(0);
    steps(old, new, Until::new(&clock, clock.now() + Duration::from_secs(1)))
}

fn check(old: &str, new: &str) -> usize {
    let steps = between(old, new);
    assert_eq!(apply(old, &steps), new);
    steps.iter().filter(|step| !matches!(step, Step::Keep(_))).count()
}

fn lines(count: usize) -> Vec<String> {
    (0..count).map(|at| format!("line {at} of {}\n", at * 7919 % 101)).collect()
}

#[test]
fn the_same_text_takes_no_step() {
    assert!(between("", "").is_empty());
    assert!(between("one\ntwo 😀\n", "one\ntwo 😀\n").is_empty());
}

#[test]
fn one_character_is_one_step() {
    let old = lines(200).concat();
    let new = old.replace("line 100 ", "lines 100 ");
    let steps = between(&old, &new);
    let [Step::Keep(_), Step::Insert(text)] = steps.as_slice() else { panic!("{steps:?}") };
    assert_eq!(text, "s");
}

#[test]
fn scattered_edits_stay_apart() {
    let old = lines(500);
    let mut new = old.clone();
    for at in [10, 100, 250, 499] {
        new[at] = new[at].replace("line", "LINE");
    }
    new.remove(300);
    new.insert(50, "new\n".to_owned());
    assert!(check(&old.concat(), &new.concat()) <= 10);
}

#[test]
fn indenting_touches_no_other_character() {
    let old = lines(300);
    let new: String = old.iter().map(|line| format!("  {line}")).collect();
    let steps = between(&old.concat(), &new);
    assert!(steps.iter().all(|step| !matches!(step, Step::Delete(_))));
    assert_eq!(apply(&old.concat(), &steps), new);
}

#[test]
fn a_word_in_a_rewrapped_paragraph_stays() {
    let old = "the quick brown fox jumps over the lazy dog and runs\naway from it\n";
    let new = "the quick brown fox leaps\nover the lazy dog and runs\naway from it\n";
    let steps = between(old, new);
    assert_eq!(apply(old, &steps), new);
    let deleted: u32 = steps
        .iter()
        .map(|step| match step {
            Step::Delete(units) => *units,
            _ => 0,
        })
        .sum();
    assert!(deleted <= 6, "{steps:?}");
}

#[test]
fn two_changes_in_one_line_leave_what_is_between() {
    let old = "One long paragraph, as people write them, with a word here and one there.\n";
    let new = "One short paragraph, as people write them, with a word here and two there.\n";
    assert_eq!(check(old, new), 4);
    assert_eq!(check("the cat, the mat\n", "some dogs, or none\n"), 2, "not shredded");
}

#[test]
fn characters_that_share_bytes_are_replaced_whole() {
    // é and è, 😀 and 😁, ä and 漢 begin or end with the same bytes.
    for (old, new) in [("é", "è"), ("x😀y", "x😁y"), ("\u{10FFFF}", "\u{FFFF}"), ("ab😀", "ab😀😀")]
    {
        check(old, new);
        check(new, old);
    }
}

#[test]
fn too_many_places_are_looked_at_from_further_away() {
    let old: String = (0..30_000).map(|at| format!("{at}\n")).collect();
    let new: String = (0..30_000).map(|at| format!("{at}x\n")).collect();
    assert!(check(&old, &new) <= PLACES_MAX);
}

#[test]
fn without_time_the_middle_is_replaced() {
    let old = lines(100);
    let mut new = old.clone();
    new.swap(10, 90);
    let (clock, _hand) = Clock::test(0);
    let until = Until::new(&clock, clock.now());
    let (old, new) = (old.concat(), new.concat());
    let steps = steps(&old, &new, until);
    assert!(matches!(steps.as_slice(), [Step::Keep(_), Step::Delete(_), Step::Insert(_)]));
    assert_eq!(apply(&old, &steps), new);
}

#[test]
fn texts_that_have_nothing_but_line_ends_in_common_end_in_time() {
    let clock = Clock::system();
    let begun = clock.now();
    let (old, new) = ("a\n\n".repeat(60_000), "b\n".repeat(70_000) + &"\n".repeat(50_000));
    let steps = steps(&old, &new, Until::new(&clock, begun + Duration::from_millis(100)));
    assert_eq!(apply(&old, &steps), new);
    let took = clock.now().since(begun);
    assert!(took < Duration::from_secs(10), "{took:?}");
}

#[test]
fn thousands_of_random_edits_of_random_texts_lead_where_they_should() {
    let mut random = StdRng::seed_from_u64(3);
    let bits = [
        "a",
        "b",
        " ",
        "\n",
        "\r\n",
        "é",
        "e\u{301}",
        "😀",
        "👨‍👩‍👧",
        "漢",
        "\u{10FFFF}",
        "word",
        "\n\n",
    ];
    for _ in 0..4_000 {
        let text = |random: &mut StdRng| -> Vec<&str> {
            let count = random.random_range(0..60);
            (0..count).map(|_| *bits.choose(random).expect("some")).collect()
        };
        let old = text(&mut random);
        let mut new = old.clone();
        match random.random_range(0..4) {
            0 => new = text(&mut random),
            1 => new.shuffle(&mut random),
            2 => new.retain(|_| random.random_bool(0.8)),
            _ => {
                for _ in 0..random.random_range(0..5) {
                    let at = random.random_range(0..=new.len());
                    new.insert(at, bits.choose(&mut random).expect("some"));
                }
            }
        }
        check(&old.concat(), &new.concat());
    }
}

#[test]
fn a_union_has_the_lines_of_both_once() {
    let (clock, _hand) = Clock::test(0);
    let until = Until::new(&clock, clock.now() + Duration::from_secs(1));
    for (old, new, wanted) in [
        ("", "", ""),
        ("a\nb\n", "", "a\nb\n"),
        ("", "a\nb", "a\nb"),
        ("a\nb\nc\n", "a\nb\nc\n", "a\nb\nc\n"),
        ("a\nc\n", "a\nb\nc\n", "a\nb\nc\n"),
        ("a\nb\nc\n", "a\nx\nc\n", "a\nb\nx\nc\n"),
        ("a", "b", "a\nb"),
        ("a", "a\nb\n", "a\nb\n"),
        ("a\nb", "b\na", "a\nb"),
        ("same\nsame\n", "same\nsame\nsame\n", "same\nsame\nsame\n"),
        ("😀\r\nü\r\n", "😀\r\né\r\nü\r\n", "😀\r\né\r\nü\r\n"),
    ] {
        assert_eq!(apply(old, &union(old, new, until)), wanted, "{old:?} and {new:?}");
    }
}

proptest! {
    #[test]
    fn a_union_loses_no_line_of_either(old in texts(), new in texts()) {
        let (clock, _hand) = Clock::test(0);
        let until = Until::new(&clock, clock.now() + Duration::from_secs(1));
        let steps = union(&old, &new, until);
        prop_assert!(steps.iter().all(|step| !matches!(step, Step::Delete(_))));
        let both = apply(&old, &steps);
        for text in [&old, &new] {
            for line in text.lines() {
                prop_assert!(both.lines().any(|have| have == line), "{:?} in {:?}", line, both);
            }
        }
        prop_assert_eq!(apply(&both, &union(&both, &new, until)), both);
    }

    #[test]
    fn any_text_becomes_any_other(old in texts(), new in texts()) {
        check(&old, &new);
    }
}
