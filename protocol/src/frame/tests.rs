use super::*;
use crate::error::Code;

fn read(frame: &[u8]) -> Vec<Result<Message<'_>, Code>> {
    messages(frame).map(|message| message.map_err(|refusal| refusal.code)).collect()
}

#[test]
fn messages_have_golden_bytes() {
    type Write = fn(&mut Vec<u8>);
    let golden: [(Write, &[u8], Message<'_>); 7] = [
        (|out| write_step1(out, &[0]), &[0, 0, 1, 0], Message::Step1(&[0])),
        (|out| write_step2(out, &[0, 0]), &[0, 1, 2, 0, 0], Message::Step2(&[0, 0])),
        (|out| write_update(out, &[0, 0]), &[0, 2, 2, 0, 0], Message::Update(&[0, 0])),
        (|out| write_awareness(out, &[0]), &EMPTY_AWARENESS, Message::Awareness(&[0])),
        (|out| write_query_awareness(out), &[3], Message::QueryAwareness),
        (|out| write_auth_denied(out, "no"), &[2, 0, 2, 0x6e, 0x6f], Message::AuthDenied("no")),
        (|out| write_echo(out, &[7]), &[0x66, 1, 7], Message::Echo(&[7])),
    ];
    let (mut all, mut expected) = (Vec::new(), Vec::new());
    for (write, bytes, message) in golden {
        let mut out = Vec::new();
        write(&mut out);
        assert_eq!(out, bytes);
        assert_eq!(read(bytes), [Ok(message)]);
        all.extend_from_slice(bytes);
        expected.push(Ok(message));
    }
    assert_eq!(read(&all), expected, "several messages in one frame");
}

#[test]
fn a_trailing_message_that_is_cut_short_is_an_error() {
    let whole = [0, 2, 2, 0, 0, 0, 1, 2, 0, 0];
    for end in 6..whole.len() {
        assert_eq!(
            read(&whole[..end]),
            [Ok(Message::Update(&[0, 0])), Err(Code::Malformed)],
            "cut at {end}"
        );
    }
}

#[test]
fn unknown_messages_end_the_frame() {
    for frame in [&[4, 0, 3][..], &[0, 3, 0, 3], &[2, 1, 3], &[0x65, 1, 0, 3]] {
        assert_eq!(read(frame), [Err(Code::Malformed)]);
    }
    assert_eq!(read(&[]), []);
}

#[test]
fn long_payloads_are_refused_at_their_bounds() {
    for (len, is_ok) in [(ECHO_BYTES_MAX, true), (ECHO_BYTES_MAX + 1, false)] {
        let mut frame = Vec::new();
        write_echo(&mut frame, &vec![1; len]);
        assert_eq!(read(&frame)[0].is_ok(), is_ok);
    }
    for (len, is_ok) in [(REASON_BYTES_MAX, true), (REASON_BYTES_MAX + 1, false)] {
        let mut frame = Vec::new();
        write_auth_denied(&mut frame, &"r".repeat(len));
        assert_eq!(read(&frame)[0].is_ok(), is_ok);
    }
    let mut frame = Vec::new();
    write_update(&mut frame, &vec![0; MESSAGE_BYTES_MAX - 6]);
    assert_eq!(frame.len(), MESSAGE_BYTES_MAX);
    assert!(read(&frame)[0].is_ok());
    frame.push(3);
    assert_eq!(read(&frame), [Err(Code::TooLarge)]);
}
