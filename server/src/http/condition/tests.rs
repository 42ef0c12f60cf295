//! Lists of tags, good and bad, against states.

use sheaf_protocol::stamp::Stamp;

use super::*;

fn state(n: u64) -> State {
    State { doc: DocId(Stamp::new(1, 2, 3)), n }
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
    let tag = now.tag();
    assert_eq!(of(Some(&tag), None).check_write(Some(now)), Ok(Some(OnlyIf::At(7))));
    let list = format!("{}, {tag}", before.tag());
    assert_eq!(of(Some(&list), None).check_write(Some(now)), Ok(Some(OnlyIf::At(7))));
    assert_eq!(of(Some(&now.roots_tag()), None).check_write(Some(now)), Ok(Some(OnlyIf::At(7))));
    assert_eq!(of(Some("*"), None).check_write(Some(now)), Ok(None));
    for stale in [before.tag(), format!("W/{tag}"), "\"other\"".to_owned()] {
        assert_eq!(of(Some(&stale), None).check_write(Some(now)), Err(failed(Some(now))));
    }
    assert_eq!(of(Some(&tag), None).check_write(None), Err(failed(None)));
    assert_eq!(of(Some("*"), None).check_write(None), Err(failed(None)));
}

#[test]
fn if_none_match_makes_a_write_create_only() {
    let now = state(7);
    assert_eq!(of(None, Some("*")).check_write(None), Ok(Some(OnlyIf::New)));
    assert_eq!(of(None, Some("*")).check_write(Some(now)), Err(failed(Some(now))));
    assert_eq!(of(None, Some("\"x\"")).check_write(Some(now)), Ok(None));
    assert_eq!(of(None, Some("\"x\"")).check_write(None), Ok(None));
    let weak = format!("W/{}", now.tag());
    assert_eq!(of(None, Some(&weak)).check_write(Some(now)), Err(failed(Some(now))));
}

#[test]
fn a_reader_that_holds_the_representation_is_told_so() {
    let now = state(7);
    let (text, roots) = (now.tag(), now.roots_tag());
    assert_eq!(of(None, None).check_read(now, &text), Ok(false));
    assert_eq!(of(None, Some("*")).check_read(now, &text), Ok(true));
    assert_eq!(of(None, Some(&format!("W/{text}"))).check_read(now, &text), Ok(true));
    assert_eq!(of(None, Some(&text)).check_read(now, &roots), Ok(false), "another form");
    assert_eq!(of(None, Some(&state(6).tag())).check_read(now, &text), Ok(false));
    assert_eq!(of(Some("\"x\""), None).check_read(now, &text), Err(failed(Some(now))));
}

#[test]
fn a_part_of_a_document_is_changed_only_at_a_named_state() {
    assert!(of(Some("\"x\""), None).check_names_state().is_ok());
    assert!(of(Some("*"), None).check_names_state().is_err());
    assert!(of(None, Some("\"x\"")).check_names_state().is_err());
}
