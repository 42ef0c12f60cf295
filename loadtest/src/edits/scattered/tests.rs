use sheaf_protocol::scan;
use yrs::updates::decoder::Decode;
use yrs::{Doc, GetString, ReadTxn, Transact, Update};

use super::*;

const EDITS: u32 = 3 * WHOLE_EDITS as u32;

/// The text as the model has it.
fn model(stream: &Stream, tokens: &[Token]) -> String {
    let mut letters = std::collections::HashMap::new();
    letters.extend((0..BASE_LEN).map(|at| ((0, at), b'a' + (at % 26) as u8)));
    let mut authors = Vec::new();
    let mut start = 0;
    for (end, _) in &stream.edits {
        let update = &stream.bytes[start..*end];
        let mut reader = sheaf_protocol::varint::Reader::new(&update[2..]);
        let client = reader.uint().unwrap();
        let clock = reader.uint().unwrap();
        let author = stream.clients.iter().position(|own| u64::from(*own) == client).unwrap();
        authors.push((author as u32, clock as u32));
        start = *end;
    }
    for ((author, clock), token) in authors.iter().zip(tokens) {
        for (at, letter) in token.bytes().into_iter().enumerate() {
            letters.insert((*author, clock + at as u32), letter);
        }
    }
    let (mut text, mut at) = (Vec::new(), Some(0));
    while let Some(index) = at {
        let piece: Piece = stream.pieces[index as usize];
        if !piece.is_deleted {
            text.extend((0..piece.len).map(|at| letters[&(piece.author, piece.clock + at)]));
        }
        at = piece.next;
    }
    String::from_utf8(text).unwrap()
}

#[test]
fn a_replica_that_takes_the_updates_reads_what_the_model_holds() {
    let mut stream = Stream::new(7);
    stream.extend_to(100);
    let tokens: Vec<_> =
        (0..EDITS).map(|number| Token { number, due_us: u64::from(number) }).collect();
    let doc = Doc::new();
    let text = doc.get_or_insert_text(ROOT);
    let base = Update::decode_v1(stream.base()).unwrap();
    doc.transact_mut().apply_update(base).unwrap();
    for token in &tokens {
        let mut update = Vec::new();
        stream.write(*token, &mut update);
        scan::update(&update).unwrap();
        assert_eq!(Token::find(&update).collect::<Vec<_>>(), [*token]);
        doc.transact_mut().apply_update(Update::decode_v1(&update).unwrap()).unwrap();
    }
    assert!(stream.late() > 0);
    let made = stream.edits.len();
    let txn = doc.transact();
    assert!(txn.store().pending_update().is_none());
    let read = text.get_string(&txn);
    // The model has made some edits more than were written.
    let mut rest = Vec::new();
    drop(txn);
    for number in EDITS..made as u32 {
        let token = Token { number, due_us: 0 };
        rest.push(token);
        let mut update = Vec::new();
        stream.write(token, &mut update);
        doc.transact_mut().apply_update(Update::decode_v1(&update).unwrap()).unwrap();
    }
    assert_eq!(stream.edits.len(), made);
    let all: Vec<_> = tokens.into_iter().chain(rest).collect();
    assert_eq!(text.get_string(&doc.transact()), model(&stream, &all));
    assert!(read.len() > BASE_LEN as usize);
}

#[test]
fn a_token_is_whole_in_the_text_that_its_next_neighbours_left() {
    let mut stream = Stream::new(8);
    let doc = Doc::new();
    let text = doc.get_or_insert_text(ROOT);
    let base = Update::decode_v1(stream.base()).unwrap();
    doc.transact_mut().apply_update(base).unwrap();
    for number in 0..EDITS {
        let mut update = Vec::new();
        stream.write(Token { number, due_us: 0 }, &mut update);
        doc.transact_mut().apply_update(Update::decode_v1(&update).unwrap()).unwrap();
    }
    let read = text.get_string(&doc.transact());
    let found: std::collections::HashSet<_> =
        Token::find(read.as_bytes()).map(|token| token.number).collect();
    assert!((EDITS - 1_000..EDITS).all(|number| found.contains(&number)));
}
