//! Lists of tags, good and bad, against states.

use sheaf_protocol::ids::DocId;
use sheaf_protocol::stamp::Stamp;

use super::*;

fn state(n: u64) -> At {
    At { doc: DocId(Stamp::new(1, 2, 3)), n, bytes: None }
}

fn stale(now: Option<At>) -> Result<Option<OnlyIf>, vault::Error> {
    Err(vault::Error::Stale { now })
}

fn of(if_match: Option<&str>, if_none_match: Option<&str>) -> Conditions {
    let tags = |list: &str| parse(list.as_bytes()).expect("a list of tags");
    Conditions { if_match: if_match.map(tags), if_none_match: if_none_match.map(tags) }
}

#[test]
fn a_list_of_tags_is_read_as_the_grammar_says() {
    for good in [
        "*",
        " * ",
        "\"a\"",
        "W/\"a\"",
        "\"a\",\"b\"",
        " \"a\" , W/\"b\" ",
        "\"\"",
        "\"a,b\"",
        ",\"a\",,\"b\",",
        "\"\u{e9}\"",
    ] {
        assert!(parse(good.as_bytes()).is_some(), "{good:?}");
    }
    for bad in [
        "",
        ",",
        "a",
        "\"a",
        "a\"",
        "\"a\" \"b\"",
        "w/\"a\"",
        "W/a",
        "*,\"a\"",
        "\"a b\"",
        "\"a\"b",
        "W/ \"a\"",
        "\"\u{1}\"",
    ] {
        assert!(parse(bad.as_bytes()).is_none(), "{bad:?}");
    }
}

#[test]
fn if_match_wants_exactly_the_state_and_never_by_a_weak_tag() {
    let (now, before) = (state(7), state(6));
    let text = tag(now);
    assert_eq!(of(Some(&text), None).check_write(Some(now)), Ok(Some(OnlyIf::At(7))));
    let list = format!("{}, {text}", tag(before));
    assert_eq!(of(Some(&list), None).check_write(Some(now)), Ok(Some(OnlyIf::At(7))));
    assert_eq!(of(Some(&roots_tag(now)), None).check_write(Some(now)), Ok(Some(OnlyIf::At(7))));
    assert_eq!(of(Some("*"), None).check_write(Some(now)), Ok(None));
    for other in [tag(before), format!("W/{text}"), "\"other\"".to_owned()] {
        assert_eq!(of(Some(&other), None).check_write(Some(now)), stale(Some(now)));
    }
    assert_eq!(of(Some(&text), None).check_write(None), stale(None));
    assert_eq!(of(Some("*"), None).check_write(None), stale(None));
}

#[test]
fn the_tag_of_bytes_is_their_hash_and_names_no_state_of_the_text_beneath() {
    let (text, bytes) = (state(7), At { bytes: Some([0xab; 32]), ..state(7) });
    let named = tag(bytes);
    assert_eq!(named, format!("\"{}\"", "ab".repeat(32)));
    assert_eq!(of(Some(&named), None).check_write(Some(bytes)), Ok(Some(OnlyIf::At(7))));
    assert_eq!(of(Some(&tag(text)), None).check_write(Some(bytes)), stale(Some(bytes)));
    assert_eq!(of(Some(&named), None).check_write(Some(text)), stale(Some(text)));
    let others = At { bytes: Some([0xac; 32]), ..bytes };
    assert_eq!(of(Some(&named), None).check_write(Some(others)), stale(Some(others)));
}

#[test]
fn if_none_match_makes_a_write_create_only() {
    let now = state(7);
    assert_eq!(of(None, Some("*")).check_write(None), Ok(Some(OnlyIf::New)));
    assert_eq!(of(None, Some("*")).check_write(Some(now)), stale(Some(now)));
    assert_eq!(of(None, Some("\"x\"")).check_write(Some(now)), Ok(None));
    assert_eq!(of(None, Some("\"x\"")).check_write(None), Ok(None));
    let weak = format!("W/{}", tag(now));
    assert_eq!(of(None, Some(&weak)).check_write(Some(now)), stale(Some(now)));
}

#[test]
fn a_reader_that_holds_the_representation_is_told_so() {
    let now = state(7);
    let (text, roots) = (tag(now), roots_tag(now));
    assert_eq!(of(None, None).check_read(now, &text), Ok(false));
    assert_eq!(of(None, Some("*")).check_read(now, &text), Ok(true));
    assert_eq!(of(None, Some(&format!("W/{text}"))).check_read(now, &text), Ok(true));
    assert_eq!(of(None, Some(&text)).check_read(now, &roots), Ok(false), "another form");
    assert_eq!(of(None, Some(&tag(state(6)))).check_read(now, &text), Ok(false));
    assert_eq!(
        of(Some("\"x\""), None).check_read(now, &text),
        Err(vault::Error::Stale { now: Some(now) }.into())
    );
}

#[test]
fn a_part_of_a_document_is_changed_only_at_a_named_state() {
    assert!(of(Some("\"x\""), None).check_names_state().is_ok());
    assert!(of(Some("*"), None).check_names_state().is_err());
    assert!(of(None, Some("\"x\"")).check_names_state().is_err());
}
