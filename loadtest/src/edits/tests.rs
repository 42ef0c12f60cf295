use sheaf_protocol::scan;
use yrs::updates::decoder::Decode;
use yrs::{Doc, GetString, Transact, Update};

use super::*;

#[test]
fn a_replica_that_takes_the_updates_reads_the_tokens() {
    let doc = Doc::new();
    let text = doc.get_or_insert_text(ROOT);
    let edits = Edits::Chained { client: u32::MAX };
    let mut expected = String::new();
    for number in 0..4 {
        let token = Token { number, due_us: u64::from(number) * 70_000 };
        let mut update = Vec::new();
        edits.write(token, &mut update);
        scan::update(&update).unwrap();
        doc.transact_mut().apply_update(Update::decode_v1(&update).unwrap()).unwrap();
        expected.push_str(std::str::from_utf8(&token.bytes()).unwrap());
        assert_eq!(Token::find(&update).collect::<Vec<_>>(), [token]);
    }
    assert_eq!(text.get_string(&doc.transact()), expected);
}
