//! Bodies as they go out, to the byte.

use std::net::Ipv4Addr;

use sheaf_protocol::ids::DocId;

use super::*;
use crate::auth::Role;
use crate::vault::File;

fn vault() -> VaultName {
    "notes".parse().expect("a vault's name")
}

fn change() -> Change {
    let file = File {
        id: DocId(Stamp::new(1_700_000_000_000, 1, 2)),
        path: "a/b.md".into(),
        n: 7,
        seq: 42,
        kind: Kind::Text,
        size: 12,
        hash: Some([0xab; 32]),
        created_ms: 1_700_000_000_000,
        updated: Stamp::new(1_709_251_199_999, 0, 2),
        by: Some("ada".into()),
        device: 0,
        from: None,
        is_deleted: false,
    };
    Change { seq: 42, file }
}

#[test]
fn a_documents_event_says_what_changed_and_where_to_read_on() {
    let event = of_document(&vault(), 5, &change(), EventType::Changed);
    let doc = change().file.id;
    let hash = "ab".repeat(32);
    let head = format!(r#"{{"id":"{}","type":"document.changed","vault":"notes","#, event.id);
    let when = r#""cursor":"5.42","time":"2024-02-29T23:59:59.999Z","#;
    let what = format!(r#""document":{{"id":"{doc}","path":"a/b.md","n":7,"etag":"\"{doc}-7\"","#);
    let text = format!(r#""kind":"text","size":12,"hash":"{hash}","by":"ada"}}}}"#);
    let golden = [head, when.to_owned(), what, text].concat();
    assert_eq!(std::str::from_utf8(&event.body), Ok(golden.as_str()));
}

#[test]
fn an_id_is_the_same_at_each_try_and_another_for_each_event() {
    let event = of_document(&vault(), 5, &change(), EventType::Changed);
    assert_eq!(event, of_document(&vault(), 5, &change(), EventType::Changed));
    assert!(event.id.starts_with("msg_") && !event.id.contains('.'), "{}", event.id);
    let mut later = change();
    later.seq = 43;
    let others = [
        of_document(&vault(), 5, &later, EventType::Changed),
        of_document(&vault(), 6, &change(), EventType::Changed),
        of_document(&vault(), 5, &change(), EventType::Deleted),
        of_document(&VaultName::default(), 5, &change(), EventType::Changed),
    ];
    for other in others {
        assert_ne!(other.id, event.id);
    }
}

#[test]
fn a_sessions_event_says_who_and_never_from_where() {
    let session = Session {
        id: 9,
        vault: vault(),
        document: "a/b.md".into(),
        principal: Principal::Named("ada".into()),
        role: Role::Write,
        address: Ipv4Addr::new(203, 0, 113, 7).into(),
        dialect: "y-websocket",
        since_ms: 0,
    };
    let stamp = Stamp::new(951_782_400_000, 0, 1);
    let event = of_session(stamp, &SessionEvent::Left(session));
    let head = format!(r#"{{"id":"msg_{stamp}","type":"session.left","vault":"notes","#);
    let when = r#""time":"2000-02-29T00:00:00.000Z","#;
    let who = r#""session":{"id":9,"document":"a/b.md","user":"ada","role":"write","#;
    let how = r#""dialect":"y-websocket","since":"1970-01-01T00:00:00.000Z"}}"#;
    let golden = head + when + who + how;
    assert_eq!(std::str::from_utf8(&event.body), Ok(golden.as_str()));
    assert!(!golden.contains("203.0"));
}

#[test]
fn times_are_those_of_the_calendar() {
    for (ms, text) in [
        (0, "1970-01-01T00:00:00.000Z"),
        (951_868_799_001, "2000-02-29T23:59:59.001Z"),
        (951_868_800_000, "2000-03-01T00:00:00.000Z"),
        (1_767_225_599_999, "2025-12-31T23:59:59.999Z"),
        (4_107_542_400_000, "2100-03-01T00:00:00.000Z"),
    ] {
        assert_eq!(rfc3339(ms), text);
    }
}
