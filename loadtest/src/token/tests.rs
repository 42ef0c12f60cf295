use sheaf_protocol::scan;
use yrs::updates::decoder::Decode;
use yrs::{Doc, GetString, Transact, Update};

use super::*;

#[test]
fn a_replica_that_takes_the_updates_reads_the_tokens() {
    let doc = Doc::new();
    let text = doc.get_or_insert_text(ROOT);
    let tokens = [0, 1, 2, 70_000].map(|due_us| Token { number: 0, due_us });
    let mut expected = String::new();
    for (number, token) in tokens.into_iter().enumerate() {
        let token = Token { number: number as u32, ..token };
        let update = token.update(u32::MAX);
        scan::update(&update).unwrap();
        doc.transact_mut().apply_update(Update::decode_v1(&update).unwrap()).unwrap();
        expected.push_str(&token.text());
        assert_eq!(Token::find(&update).collect::<Vec<_>>(), [token]);
    }
    let read = text.get_string(&doc.transact());
    assert_eq!(read, expected);
    assert_eq!(Token::find(read.as_bytes()).count(), 4);
}

#[test]
fn other_bytes_are_no_tokens() {
    assert_eq!(Token::find(b"~~~ 12~00000").count(), 0);
    let token = Token { number: 1, due_us: 2 };
    let text = format!("~~{}~", token.text());
    assert_eq!(Token::find(text.as_bytes()).collect::<Vec<_>>(), [token]);
}
