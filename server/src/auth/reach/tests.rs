//! Vaults and paths as tables.

use super::*;

fn vault(name: &str) -> VaultName {
    name.parse().expect("a vault's name")
}

fn vaults(text: &str) -> Result<Vaults, serde_json::Error> {
    serde_json::from_str(text)
}

fn prefix(path: &str) -> Prefix {
    Prefix::try_from(path.to_owned()).expect("a path")
}

#[test]
fn vaults_are_all_or_a_list_or_all_but_some() {
    for (text, covered, other) in [
        (r#""*""#, "a", None),
        (r#"["a","b"]"#, "b", Some("c")),
        (r#""a""#, "a", Some("A")),
        (r#"{"except":["a"]}"#, "b", Some("a")),
    ] {
        let vaults = vaults(text).expect("one of the forms");
        assert!(vaults.covers(&vault(covered)), "{text}");
        assert!(other.is_none_or(|other| !vaults.covers(&vault(other))), "{text}");
        let again = serde_json::to_string(&vaults).expect("plain data");
        assert_eq!(self::vaults(&again).expect("as written"), vaults);
    }
    assert!(!vaults("[]").expect("no vault at all").covers(&vault("a")));
    for wrong in ["1", "null", "true", r#"[1]"#, r#"["*"]"#, r#"["a/b"]"#, r#"["../a"]"#] {
        assert!(vaults(wrong).is_err(), "{wrong}");
    }
    for wrong in [r#"{"except":"a"}"#, r#"{"except":[],"x":1}"#, "{}", r#""""#, r#"["ä"]"#] {
        assert!(vaults(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn a_prefix_covers_whole_segments_only() {
    for (own, path, is_covered) in [
        ("notes/", "notes/a", true),
        ("notes/", "notes/a/b.md", true),
        ("notes/", "notes", false),
        ("notes", "notes", true),
        ("notes", "notes/a", true),
        ("notes", "notes-of-ada", false),
        ("notes/", "notesx/a", false),
        ("notes/", "Notes/a", false),
        ("notes/", "notes/../secret", false),
        ("notes/", "notes/./a", false),
        ("notes/", "notes//a", false),
        ("notes/", "notes/", false),
        ("notes/", "/notes/a", false),
        ("notes/", "a/notes/b", false),
        ("notes/", "", false),
        ("a/b", "a/b/c", true),
        ("a/b", "a/bc", false),
        ("é/", "é/x", true),
        // The same to the eye, in another normal form: not the same name.
        ("é/", "e\u{301}/x", false),
    ] {
        assert_eq!(prefix(own).covers(path), is_covered, "{own} {path}");
    }
    for wrong in ["", "/", "/a", "a//b", "..", "a/../b", "./a", "a//"] {
        assert_eq!(Prefix::try_from(wrong.to_owned()), Err(Bad::Path), "{wrong}");
    }
    assert!(Prefix::try_from("x".repeat(1025)).is_err());
}

#[test]
fn a_prefix_contains_what_lies_under_it() {
    for (own, other, is_inside) in [
        ("notes", "notes/", true),
        ("notes/", "notes/", true),
        ("notes/", "notes", false),
        ("notes/", "notes/a/", true),
        ("notes/a/", "notes/", false),
        ("notes", "notes-of-ada/", false),
    ] {
        assert_eq!(prefix(own).contains(&prefix(other)), is_inside, "{own} {other}");
    }
}

#[test]
fn a_ticket_for_a_document_is_for_no_other() {
    let own = Prefix::of_ticket("a/b");
    assert!(own.covers("a/b"));
    assert!(!own.covers("a/b/c") && !own.covers("a") && !own.covers("a/b/"));
    assert!(Prefix::of_ticket("a/").covers("a/b"));
    // A room that is no path: still that room and no other.
    assert!(Prefix::of_ticket("..//").covers("..//") && !Prefix::of_ticket("..//").covers("..//a"));
}

#[test]
fn the_most_that_a_rule_allows_counts() {
    let rule = |vaults: &str, paths: Option<&str>, role| Rule {
        vaults: self::vaults(vaults).expect("vaults"),
        paths: paths.map(|path| Arc::from([prefix(path)])),
        role,
    };
    let rules = [
        rule(r#""*""#, None, Role::Read),
        rule(r#"["a"]"#, Some("notes/"), Role::Write),
        rule(r#"["b"]"#, None, Role::Admin),
    ];
    let role = |vault: &str, path: Option<&'static str>| {
        role_in(&rules, &self::vault(vault), &What::of(path)).expect("reads everywhere")
    };
    assert_eq!(role("c", None), Role::Read);
    assert_eq!(role("a", None), Role::Read, "a rule with paths is not about the vault");
    assert_eq!(role("a", Some("notes/x")), Role::Write);
    assert_eq!(role("a", Some("notes/")), Role::Write, "all under it");
    assert_eq!(role("a", Some("other")), Role::Read);
    assert_eq!(role("b", Some("x")), Role::Admin);
    assert!(!is_server_admin(&rules));
    assert!(is_server_admin(&[rule(r#""*""#, None, Role::Admin)]));
    assert!(!is_server_admin(&[rule(r#"{"except":["a"]}"#, None, Role::Admin)]));
    assert!(!is_server_admin(&[rule(r#""*""#, Some("a/"), Role::Admin)]));
}
