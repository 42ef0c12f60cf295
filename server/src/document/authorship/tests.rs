use bytes::Bytes;
use sheaf_protocol::stamp::Stamp;

use super::*;
use crate::document::state::State;
use crate::document::state::tests::typed;

fn entry(n: u64, author: &str, bytes: Vec<u8>) -> LogEntry {
    let stamp = Stamp::new(n * MINUTE_MS, 0, 7);
    LogEntry { n, position: n, stamp, author: Some(author.into()), bytes: Bytes::from(bytes) }
}

fn span(client: u64, clock: u32, len: u32, author: &str, minute: u64) -> Authored {
    Authored { client, clock, len, author: Some(author.into()), minute }
}

#[test]
fn who_brings_again_what_is_known_did_not_write_it() {
    let updates = typed(7, &["ab", "cde"]);
    let mut state = State::new();
    assert!(updates.iter().all(|update| state.replay(update).unwrap()));
    let mut authorship = Authorship::default();
    authorship.push(&entry(1, "ann", updates[0].clone()));
    authorship.push(&entry(2, "bob", state.encode()));
    authorship.push(&entry(3, "eve", state.encode()));
    assert_eq!(authorship.finish(), [span(7, 0, 2, "ann", 1), span(7, 2, 3, "bob", 2)]);
}

#[test]
fn clocks_that_another_has_brought_are_their_owners() {
    let updates = typed(7, &["ab"]);
    let via = Some("bob".into());
    let owner = Owner { client: 7, clocks: 0..2, owner: "ann".into(), via };
    let mut authorship = Authorship::new(&[owner], Vec::new());
    authorship.push(&entry(1, "bob", updates[0].clone()));
    assert_eq!(authorship.finish(), [span(7, 0, 2, "ann", 1)]);
}
