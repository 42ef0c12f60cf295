//! What the types say about themselves.

use super::*;

fn key(name: &str) -> Key {
    let found = all().into_iter().find(|key| key.name == name);
    found.unwrap_or_else(|| panic!("there is no key {name}"))
}

#[test]
fn a_key_has_its_default_its_variable_and_its_meaning() {
    let key = key("limits.connections_max");
    assert_eq!(key.default.as_deref(), Some("10000"));
    assert_eq!(key.variable().as_deref(), Some("SHEAF_LIMITS__CONNECTIONS_MAX"));
    assert_eq!(key.kind, "number");
    assert!(key.meaning.starts_with("Connections in all."), "{}", key.meaning);
}

#[test]
fn a_key_that_may_be_left_out_has_no_default() {
    let key = key("listen");
    assert_eq!((key.default, key.kind.as_str()), (None, "list"));
}

#[test]
fn a_key_of_few_words_names_them() {
    assert_eq!(key("log.format").kind, "`text`, `json`");
}

#[test]
fn every_key_says_what_it_is_for() {
    let silent: Vec<_> = all().into_iter().filter(|key| key.meaning.len() < 10).collect();
    assert!(silent.is_empty(), "{silent:?}");
}

#[test]
fn every_default_is_toml() {
    for key in all() {
        let Some(default) = key.default else { continue };
        let line = format!("key = {default}");
        assert!(line.parse::<toml::Table>().is_ok(), "{}: {line}", key.name);
    }
}
