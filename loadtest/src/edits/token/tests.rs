use super::*;

#[test]
fn a_token_is_read_as_it_was_written() {
    for (number, due_us) in [(0, 0), (1, 63), (70_000, 64), (NUMBERS_MAX - 1, (1 << 42) - 1)] {
        let token = Token { number, due_us };
        assert_eq!(Token::find(&token.bytes()).collect::<Vec<_>>(), [token]);
    }
}

#[test]
fn tokens_are_found_in_one_piece_of_text_and_among_other_bytes() {
    let tokens = [3, 4].map(|number| Token { number, due_us: 9 });
    let mut bytes = b"~~\xff".to_vec();
    for token in tokens {
        bytes.extend(token.bytes());
    }
    bytes.push(b'~');
    assert_eq!(Token::find(&bytes).collect::<Vec<_>>(), tokens);
}

#[test]
fn other_bytes_are_no_tokens() {
    assert_eq!(Token::find(b"~~~ 12~00000").count(), 0);
    assert_eq!(Token::find(&Token { number: 1, due_us: 2 }.bytes()[..12]).count(), 0);
}
