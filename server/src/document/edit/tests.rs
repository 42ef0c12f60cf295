use proptest::prelude::*;

use super::*;

fn insert(at: u64, text: &str) -> Edit {
    Edit::Insert { at, text: text.to_owned() }
}

fn delete(at: u64, len: u64) -> Edit {
    Edit::Delete { at, len }
}

fn replace(at: u64, len: u64, text: &str) -> Edit {
    Edit::Replace { at, len, text: text.to_owned() }
}

/// What the steps make of a text. UTF-16 is counted by the standard library here.
pub(crate) fn apply(text: &str, steps: &[Step<'_>]) -> String {
    let old: Vec<u16> = text.encode_utf16().collect();
    let (mut new, mut at) = (Vec::new(), 0);
    for step in steps {
        match step {
            Step::Keep(units) => {
                new.extend_from_slice(&old[at..at + *units as usize]);
                at += *units as usize;
            }
            Step::Delete(units) => at += *units as usize,
            Step::Insert(text) => new.extend(text.encode_utf16()),
        }
        // A cut pair would show here.
        assert!(String::from_utf16(&new).is_ok(), "{text:?} {steps:?}");
    }
    new.extend_from_slice(&old[at..]);
    String::from_utf16(&new).expect("whole pairs")
}

fn edited(text: &str, edits: &[Edit], unit: Unit) -> Result<String, BadEdit> {
    Ok(apply(text, &steps(text, edits, unit)?))
}

#[test]
fn all_positions_are_those_of_the_text_before() {
    let edits = [insert(9, "!"), replace(0, 5, "Goodbye"), delete(5, 1), insert(0, "> ")];
    assert_eq!(edited("Hello, you", &edits, Unit::Utf16).as_deref(), Ok("> Goodbye yo!u"));
    assert!(steps("abc", &[], Unit::Utf8).expect("none").is_empty());
    assert!(steps("abc", &[delete(1, 0), insert(3, "")], Unit::Utf8).expect("nothing").is_empty());
}

#[test]
fn inserts_at_one_place_keep_their_order() {
    let edits = [insert(1, "1"), delete(1, 1), insert(1, "2"), insert(2, "3")];
    assert_eq!(edited("abc", &edits, Unit::Utf16).as_deref(), Ok("a123c"));
}

#[test]
fn each_unit_counts_its_own_way() {
    // A family of four joined by ZWJ, an e with a combining accent, CRLF, a flag.
    let text = "👨‍👩‍👧‍👦e\u{301}\r\n🇩🇪";
    for (unit, after_family, flag) in
        [(Unit::Utf16, 11, 15), (Unit::Unicode, 7, 11), (Unit::Utf8, 25, 30)]
    {
        let edits = [insert(after_family, "|"), insert(flag, "|")];
        let expected = "👨‍👩‍👧‍👦|e\u{301}\r\n|🇩🇪";
        assert_eq!(edited(text, &edits, unit).as_deref(), Ok(expected), "{unit:?}");
    }
}

#[test]
fn a_character_is_never_split() {
    for (unit, at) in [(Unit::Utf16, 2), (Unit::Utf8, 2), (Unit::Utf8, 3), (Unit::Utf8, 4)] {
        for edit in [insert(at, "x"), delete(0, at), delete(at, 1), replace(1, at - 1, "x")] {
            let bad = steps("a😀b", std::slice::from_ref(&edit), unit).expect_err("inside");
            assert_eq!(bad.why, "it begins or ends inside a character", "{edit:?}");
        }
    }
}

#[test]
fn what_does_not_fit_is_named() {
    let bad = |edits: &[Edit]| steps("abc", edits, Unit::Utf16).expect_err("bad");
    assert_eq!(bad(&[insert(3, "x"), insert(4, "x")]).index, 1);
    assert_eq!(bad(&[delete(2, 2)]).why, BEYOND);
    assert_eq!(bad(&[delete(u64::MAX, 2)]).why, BEYOND);
    assert_eq!(bad(&[insert(u64::MAX, "x")]).why, BEYOND);
    assert_eq!(bad(&[delete(0, u64::MAX)]).why, BEYOND);
    let overlap = "it overlaps another edit";
    assert_eq!(bad(&[delete(1, 2), delete(0, 2)]), BadEdit { index: 0, why: overlap });
    assert_eq!(bad(&[replace(0, 3, "x"), insert(1, "y")]).why, overlap);
    assert_eq!(bad(&[delete(0, 1), delete(0, 1)]).why, overlap);
}

#[test]
fn the_json_form_takes_nothing_else() {
    let edit = |json: &str| serde_json::from_str::<Edit>(json);
    let replaced = edit(r#"{"op":"replace","at":1,"len":2,"text":"x"}"#).expect("an edit");
    assert_eq!(replaced, replace(1, 2, "x"));
    for wrong in [
        r#"{"op":"insert","at":-1,"text":"x"}"#,
        r#"{"op":"insert","at":1.5,"text":"x"}"#,
        r#"{"op":"insert","at":1,"text":"x","len":1}"#,
        r#"{"op":"insert","at":18446744073709551616,"text":"x"}"#,
        r#"{"op":"move","at":1}"#,
        r#"{"at":1,"text":"x"}"#,
    ] {
        assert!(edit(wrong).is_err(), "{wrong}");
    }
}

/// Texts of what breaks naive offsets.
pub(crate) fn texts() -> impl Strategy<Value = String> {
    let bits = prop::sample::select(vec![
        "a",
        "b",
        " ",
        "\n",
        "\r\n",
        "e\u{301}",
        "é",
        "😀",
        "👨‍👩‍👧",
        "\u{10FFFF}",
        "\u{FFFF}",
        "漢",
        "\u{200D}",
        "🇩🇪",
        "word",
        "\u{0}",
        "\u{FEFF}",
    ]);
    prop::collection::vec(bits, 0..24).prop_map(|bits| bits.concat())
}

proptest! {
    #[test]
    fn edits_in_any_unit_do_what_they_do_to_a_list_of_characters(
        text in texts(),
        cuts in prop::collection::vec((0usize..80, texts()), 0..8),
        unit in prop::sample::select(vec![Unit::Utf16, Unit::Unicode, Unit::Utf8]),
    ) {
        let chars: Vec<char> = text.chars().collect();
        let mut places: Vec<usize> = cuts.iter().map(|(at, _)| at % (chars.len() + 1)).collect();
        places.sort_unstable();
        let offset = |place: usize| -> u64 {
            let before = chars[..place].iter();
            before.map(|c| match unit {
                Unit::Utf16 => c.len_utf16(),
                Unit::Unicode => 1,
                Unit::Utf8 => c.len_utf8(),
            } as u64).sum()
        };
        let (mut edits, mut expected, mut at) = (Vec::new(), String::new(), 0);
        for (pair, (_, text)) in places.chunks_exact(2).zip(&cuts) {
            let (start, end) = (pair[0], pair[1]);
            edits.push(replace(offset(start), offset(end) - offset(start), text));
            expected.extend(&chars[at..start]);
            expected.push_str(text);
            at = end;
        }
        expected.extend(&chars[at..]);
        // Replacing nothing twice at one place depends on the order, which stays.
        prop_assert_eq!(edited(&text, &edits, unit), Ok(expected));
    }

    #[test]
    fn any_numbers_give_a_text_or_an_error(
        text in texts(),
        edits in prop::collection::vec((any::<u64>(), any::<u64>(), 0u64..40, 0u64..4), 1..6),
        unit in prop::sample::select(vec![Unit::Utf16, Unit::Unicode, Unit::Utf8]),
    ) {
        let edits: Vec<Edit> = edits.iter().map(|&(at, len, small, short)| match short {
            0 => replace(small, short, "😀"),
            1 => delete(small, short),
            2 => insert(at, "x"),
            _ => replace(small, len, "x"),
        }).collect();
        if let Ok(steps) = steps(&text, &edits, unit) {
            apply(&text, &steps);
        }
    }
}
