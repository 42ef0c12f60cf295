//! Signing, and the key's file.

use std::os::unix::fs::PermissionsExt;

use super::*;

fn content() -> Content {
    Content {
        vault: "team".parse().expect("a name"),
        path: Some("a/b".to_owned()),
        role: Role::Write,
        user: Some("ada".to_owned()),
        expires_ms: 1_000,
        maker: Maker::User("bob".to_owned(), "print".to_owned()),
    }
}

#[test]
fn what_is_signed_can_be_read_by_the_same_key_alone() {
    let key = Key::fresh();
    let token = key.sign(&content());
    assert!(is_ticket(&token));
    assert_eq!(key.open(&token), Some(content()));
    assert_eq!(Key::fresh().open(&token), None);
}

#[test]
fn no_byte_of_a_ticket_can_be_changed() {
    let key = Key::fresh();
    let token = key.sign(&content());
    for at in 0..token.len() {
        let mut bytes = token.clone().into_bytes();
        bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
        let other = String::from_utf8(bytes).expect("ASCII");
        // The last character has bits that mean nothing: base64 refuses those that are not zero.
        assert_eq!(key.open(&other), None, "{at}");
    }
    assert_eq!(key.open(&token[..token.len() - 1]), None);
    assert_eq!(key.open(&format!("{token}A")), None);
    assert_eq!(key.open(PREFIX), None);
    assert_eq!(key.open(&format!("{PREFIX}.")), None);
}

#[test]
fn the_key_is_kept_for_its_owner_alone() {
    let dir = tempfile::tempdir().expect("a directory");
    let token = Key::load(dir.path()).expect("made").sign(&content());
    let file = dir.path().join(KEY_FILE);
    let mode = fs::metadata(&file).expect("there").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert!(Key::load(dir.path()).expect("read").open(&token).is_some());
    fs::write(&file, "short").expect("written");
    assert!(Key::load(dir.path()).expect("made anew").open(&token).is_none());
}
