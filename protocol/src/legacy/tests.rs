use super::*;
use crate::error::Code;
use crate::scan::{Event, update};

fn rewritten(bytes: &[u8]) -> Result<Vec<u8>, Refusal> {
    let events = update(bytes).expect("well formed").events();
    let mut out = vec![9, 9];
    for event in events {
        if let Event::Block(block) = event {
            json_to_any(&block, &mut out).inspect_err(|_| assert_eq!(out, [9, 9]))?;
        }
    }
    Ok(out)
}

#[test]
fn the_update_that_yrs_rejects_is_rewritten() {
    let bytes = [1, 1, 1, 0, 2, 1, 1, b't', 2, 1, b'1', 1, b'2', 0];
    assert_eq!(rewritten(&bytes), Ok(vec![9, 9, 8, 1, 1, b't', 2, 125, 1, 125, 2]));
}

#[test]
fn origins_key_and_undefined_survive() {
    let keyed = [1, 1, 1, 0, 0x22, 0, 2, 5, 1, b'k', 1, 4, b'n', b'u', b'l', b'l', 0];
    assert_eq!(rewritten(&keyed), Ok(vec![9, 9, 0x28, 0, 2, 5, 1, b'k', 1, 126]));
    let chained = [&[1, 1, 1, 0, 0xc2, 2, 5, 3, 6, 1, 9][..], b"undefined", &[0]].concat();
    assert_eq!(rewritten(&chained), Ok(vec![9, 9, 0xc8, 2, 5, 3, 6, 1, 127]));
}

#[test]
fn what_yrs_cannot_hold_is_refused_where_it_stands() {
    let bytes = [&[1, 1, 1, 0, 2, 1, 1, b't', 2, 1, b'1', 8][..], b"\"\\ud800\"", &[0]].concat();
    let refusal = rewritten(&bytes).expect_err("half a pair");
    assert_eq!((refusal.code, refusal.at), (Code::Malformed, 7));
}

#[test]
fn other_content_is_left_alone() {
    assert!(rewritten(&[1, 1, 1, 0, 4, 1, 1, b't', 1, b'a', 0]).is_err());
}
