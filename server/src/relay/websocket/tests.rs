//! The codec against the RFC's own vectors and against tungstenite as the other end.

use std::borrow::Cow;
use std::io::{self, Cursor, Read, Write};

use proptest::prelude::*;
use sheaf_protocol::error::Code;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocket, frame::coding::CloseCode};
use tokio_tungstenite::tungstenite::{Message, Utf8Bytes, protocol::CloseFrame};

use super::*;

const BOUND: usize = 1 << 20;

/// A transport for tungstenite: reads what the test gives, keeps what it writes.
#[derive(Debug, Default)]
struct Wire {
    inbound: Cursor<Vec<u8>>,
    outbound: Vec<u8>,
}

impl Read for Wire {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.inbound.read(buf)
    }
}

impl Write for Wire {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.outbound.extend_from_slice(buf);
        Ok(buf.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn client(inbound: Vec<u8>) -> WebSocket<Wire> {
    let wire = Wire { inbound: Cursor::new(inbound), outbound: Vec::new() };
    WebSocket::from_raw_socket(wire, Role::Client, None)
}

/// A masked client frame with `first` as its first byte.
fn masked(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    frame_header(Opcode::Binary, payload.len(), &mut out);
    out[0] = first;
    out[1] |= MASKED;
    let mask = [0x37, 0xfa, 0x21, 0x3d];
    out.extend_from_slice(&mask);
    out.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, key)| byte ^ key));
    out
}

fn refused(mut bytes: Vec<u8>) -> Code {
    match parse(&mut bytes, BOUND) {
        Ok(Parsed::Frame(frame, _)) => {
            Assembler::new(BOUND).push(frame).expect_err("the frame should be refused").code
        }
        Ok(incomplete) => panic!("{incomplete:?} instead of a refusal"),
        Err(refusal) => refusal.code,
    }
}

/// Every message, ping, pong and close in `bytes`, told as (name, payload).
fn told(mut bytes: Vec<u8>, assembler: &mut Assembler) -> Vec<(&'static str, Vec<u8>)> {
    let mut told = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        let Ok(Parsed::Frame(frame, _)) = parse(&mut bytes[at..], BOUND) else {
            panic!("no whole frame at {at}")
        };
        at += frame.consumed;
        match assembler.push(frame).expect("a legal frame") {
            Received::Message(payload) => told.push(("message", payload.into_owned())),
            Received::Text(payload) => told.push(("text", payload.into_owned())),
            Received::Fragment => {}
            Received::TooLarge => told.push(("too large", Vec::new())),
            Received::Ping(payload) => told.push(("ping", payload.to_vec())),
            Received::Pong(payload) => told.push(("pong", payload.to_vec())),
            Received::Close(close) => {
                told.push(("close", [&close.code.to_be_bytes(), close.reason.as_bytes()].concat()));
            }
        }
    }
    told
}

#[test]
fn the_masked_hello_of_the_rfc_is_unmasked() {
    let mut bytes = [0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58];
    let Ok(Parsed::Frame(frame, _)) = parse(&mut bytes, BOUND) else { panic!("not a frame") };
    assert_eq!(
        frame,
        Frame { fin: true, opcode: Opcode::Text, payload: &mut b"Hello".to_owned(), consumed: 11 }
    );
}

#[test]
fn the_server_frames_of_the_rfc_are_written() {
    let mut out = Vec::new();
    frame_header(Opcode::Text, 5, &mut out);
    assert_eq!(out, [0x81, 0x05]);
    out.clear();
    write_ping(b"Hello", &mut out);
    assert_eq!(out, [0x89, 0x05, 0x48, 0x65, 0x6c, 0x6c, 0x6f]);
    out.clear();
    frame_header(Opcode::Binary, 256, &mut out);
    assert_eq!(out, [0x82, 0x7e, 0x01, 0x00]);
    out.clear();
    frame_header(Opcode::Binary, 65_536, &mut out);
    assert_eq!(out, [0x82, 0x7f, 0, 0, 0, 0, 0, 1, 0, 0]);
}

#[test]
fn the_pong_of_the_rfc_is_received() {
    let bytes = vec![0x8a, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58];
    assert_eq!(told(bytes, &mut Assembler::new(BOUND)), [("pong", b"Hello".to_vec())]);
}

#[test]
fn what_the_rfc_forbids_a_client_is_malformed() {
    let unmasked = vec![0x82, 0x01, 0x00];
    let reserved = [0xc2, 0xa2, 0x92].map(|first| masked(first, b"x")).to_vec();
    let unknown = [0x83, 0x87, 0x8b, 0x8f].map(|first| masked(first, b"x")).to_vec();
    let fragmented_control = [0x08, 0x09, 0x0a].map(|first| masked(first, b"")).to_vec();
    let long_control = [0x88, 0x89, 0x8a].map(|first| masked(first, &[0; 126])).to_vec();
    let top_bit = vec![0x82, 0xff, 0x80, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4];
    let long_form_16 = vec![0x82, 0xfe, 0x00, 0x7d, 1, 2, 3, 4];
    let long_form_64 = vec![0x82, 0xff, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 1, 2, 3, 4];
    let text = masked(0x81, b"text");
    let orphan = masked(0x80, b"x");
    let close_of_one = masked(0x88, &[3]);
    let close_reason = masked(0x88, &[3, 0xe8, 0xff]);
    let close_codes = [0_u16, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65_535]
        .map(|code| masked(0x88, &code.to_be_bytes()));
    let all = [vec![unmasked, top_bit, long_form_16, long_form_64, text, orphan], reserved]
        .into_iter()
        .chain([unknown, fragmented_control, long_control, close_codes.to_vec()])
        .chain([vec![close_of_one, close_reason]])
        .flatten();
    for bytes in all {
        assert_eq!(refused(bytes.clone()), Code::Malformed, "{bytes:x?}");
    }
}

#[test]
fn a_frame_over_the_limit_is_refused_from_its_header() {
    let mut header = vec![0x82, 0xff, 0, 0, 0, 0, 0, 0x10, 0, 1, 1, 2, 3, 4];
    let refusal = parse(&mut header, BOUND).expect_err("one byte over");
    assert_eq!(refusal.code, Code::TooLarge);
    header[9] = 0;
    let wanted = Parsed::Incomplete { needed: 14 + BOUND };
    assert_eq!(parse(&mut header, BOUND), Ok(wanted), "exactly the limit");
    let mut huge = vec![0x82, 0xff, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 2, 3, 4];
    assert_eq!(parse(&mut huge, BOUND).expect_err("2^63 - 1").code, Code::TooLarge);
}

#[test]
fn fragments_together_may_not_pass_the_limit() {
    let mut assembler = Assembler::new(8);
    let mut feed = |first, payload: &[u8]| {
        let mut bytes = masked(first, payload);
        let Ok(Parsed::Frame(frame, _)) = parse(&mut bytes, 8) else { panic!("not a frame") };
        assembler.push(frame).map(|received| matches!(received, Received::Fragment))
    };
    assert_eq!(feed(0x02, &[1; 5]), Ok(true));
    assert_eq!(feed(0x00, &[2; 3]), Ok(true));
    assert_eq!(feed(0x80, &[3]).expect_err("nine bytes").code, Code::TooLarge);
}

#[test]
fn a_message_over_the_limit_is_passed_over_where_that_is_wanted_and_told_once() {
    let mut assembler = Assembler::new(8);
    assembler.pass_over();
    let mut feed = |first: u8, length: usize| {
        let mut bytes = masked(first, &vec![1; length]);
        if let Some(frame) = overlong(&bytes, 8) {
            assert_eq!((frame.bytes, frame.fin), (bytes.len(), first & FIN != 0));
            return assembler.push_overlong(frame).map(|it| it == Received::TooLarge);
        }
        let Ok(Parsed::Frame(frame, _)) = parse(&mut bytes, 8) else { panic!("not a frame") };
        assembler.push(frame).map(|it| match it {
            Received::TooLarge => true,
            Received::Fragment | Received::Ping(_) => false,
            Received::Message(payload) => panic!("{payload:?}"),
            other => panic!("{other:?}"),
        })
    };
    assert_eq!(feed(0x82, 9), Ok(true));
    for (frames, told) in [
        (&[(0x02, 5), (0x00, 3), (0x80, 1)][..], &[false, false, true][..]),
        (&[(0x02, 5), (0x00, 9), (0x89, 2), (0x80, 1)], &[false, true, false, false]),
        (&[(0x02, 9), (0x00, 0), (0x80, 9)], &[true, false, false]),
    ] {
        for ((first, length), is_told) in frames.iter().zip(told) {
            assert_eq!(feed(*first, *length), Ok(*is_told), "{frames:?}");
        }
    }
    assert_eq!(feed(0x80, 9).expect_err("of nothing").code, Code::Malformed);
    assert_eq!(feed(0x02, 9), Ok(true));
    assert_eq!(feed(0x82, 1).expect_err("inside another").code, Code::Malformed);
    assert_eq!(feed(0x82, 9).expect_err("inside another").code, Code::Malformed);
}

#[test]
fn a_new_message_inside_an_open_one_is_malformed() {
    let mut assembler = Assembler::new(BOUND);
    let mut bytes = masked(0x02, b"open");
    let Ok(Parsed::Frame(frame, _)) = parse(&mut bytes, BOUND) else { panic!("not a frame") };
    assert_eq!(assembler.push(frame), Ok(Received::Fragment));
    assert_eq!(assembler.held_bytes(), 4);
    let mut bytes = masked(0x82, b"another");
    let Ok(Parsed::Frame(frame, _)) = parse(&mut bytes, BOUND) else { panic!("not a frame") };
    assert_eq!(assembler.push(frame).expect_err("must be refused").code, Code::Malformed);
}

#[test]
fn a_ping_between_fragments_is_answered_and_memory_is_given_back() {
    let mut assembler = Assembler::new(BOUND);
    let bytes = [masked(0x02, b""), masked(0x00, b"ab"), masked(0x89, b"?"), masked(0x80, b"c")];
    let told = told(bytes.concat(), &mut assembler);
    assert_eq!(told, [("ping", b"?".to_vec()), ("message", b"abc".to_vec())]);
    assert_eq!(assembler.held_bytes(), 0);
}

#[test]
fn a_close_can_be_echoed_and_an_empty_one_stays_empty() {
    let mut out = Vec::new();
    write_close(1005, "never written", &mut out);
    assert_eq!(out, [0x88, 0]);
    assert_eq!(close(&[]), Ok(Close { code: 1005, reason: "" }));
    assert_eq!(close(&[0x0f, 0xa1, b'h', b'i']), Ok(Close { code: 4001, reason: "hi" }));
}

#[test]
fn a_long_close_reason_is_cut_at_a_character() {
    let mut out = Vec::new();
    write_close(4413, &format!("{}é", "x".repeat(122)), &mut out);
    let message = client(out).read().expect("a legal close frame");
    let Message::Close(Some(frame)) = message else { panic!("{message:?}") };
    assert_eq!(frame.code, CloseCode::Library(4413));
    assert_eq!(frame.reason, Utf8Bytes::from("x".repeat(122)));
}

fn messages() -> impl Strategy<Value = Vec<Message>> {
    let payload = prop_oneof![
        8 => prop::collection::vec(any::<u8>(), 0..200),
        1 => prop::collection::vec(any::<u8>(), 60_000..70_000),
    ];
    let control = prop::collection::vec(any::<u8>(), 0..=CONTROL_BYTES_MAX);
    let message = prop_oneof![
        4 => payload.prop_map(Message::from),
        1 => control.clone().prop_map(|bytes| Message::Ping(bytes.into())),
        1 => control.prop_map(|bytes| Message::Pong(bytes.into())),
    ];
    prop::collection::vec(message, 1..12)
}

fn name_and_payload(message: &Message) -> (&'static str, Vec<u8>) {
    match message {
        Message::Binary(bytes) => ("message", bytes.to_vec()),
        Message::Ping(bytes) => ("ping", bytes.to_vec()),
        Message::Pong(bytes) => ("pong", bytes.to_vec()),
        other => panic!("not made by messages(): {other:?}"),
    }
}

proptest! {
    #[test]
    fn what_tungstenite_sends_is_read(messages in messages()) {
        let mut socket = client(Vec::new());
        for message in &messages {
            socket.send(message.clone()).expect("the wire takes everything");
        }
        let read = told(socket.get_ref().outbound.clone(), &mut Assembler::new(BOUND));
        prop_assert_eq!(read, messages.iter().map(name_and_payload).collect::<Vec<_>>());
    }

    #[test]
    fn what_we_write_tungstenite_reads(messages in messages()) {
        let mut out = Vec::new();
        for message in &messages {
            match message {
                Message::Binary(bytes) => write_binary(bytes, &mut out),
                Message::Ping(bytes) => write_ping(bytes, &mut out),
                Message::Pong(bytes) => write_pong(bytes, &mut out),
                other => panic!("not made by messages(): {other:?}"),
            }
        }
        write_close(1012, "restart", &mut out);
        let mut socket = client(out);
        for message in &messages {
            prop_assert_eq!(&socket.read().expect("a legal frame"), message);
        }
        let close = CloseFrame { code: CloseCode::Restart, reason: "restart".into() };
        prop_assert_eq!(socket.read().expect("a legal close"), Message::Close(Some(close)));
    }

    #[test]
    fn a_cut_frame_is_incomplete_and_untouched(
        payload in prop::collection::vec(any::<u8>(), 0..70_000),
        part in 0.0..1.0_f64,
    ) {
        let whole = masked(0x82, &payload);
        let cut = (whole.len() as f64 * part) as usize;
        let mut bytes = whole[..cut].to_vec();
        let parsed = parse(&mut bytes, BOUND).expect("a legal beginning");
        let Parsed::Incomplete { needed } = parsed else { panic!("a frame from {cut} bytes") };
        prop_assert!(cut < needed && needed <= whole.len());
        prop_assert_eq!(&bytes[..], &whole[..cut]);
    }

    #[test]
    fn any_fragmentation_gives_the_same_message(
        parts in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 1..10),
    ) {
        let last = parts.len() - 1;
        let mut assembler = Assembler::new(BOUND);
        let frames = parts.iter().enumerate().map(|(at, part)| {
            let opcode = if at == 0 { 0x02 } else { 0x00 };
            masked(if at == last { FIN | opcode } else { opcode }, part)
        });
        let bytes: Vec<u8> = frames.flatten().collect();
        prop_assert_eq!(told(bytes, &mut assembler), [("message", parts.concat())]);
    }

    #[test]
    fn any_bytes_are_parsed_or_refused_without_a_panic(
        mut bytes in prop::collection::vec(any::<u8>(), 0..64),
    ) {
        let held = bytes.len();
        let mut assembler = Assembler::new(BOUND);
        match parse(&mut bytes, BOUND) {
            Ok(Parsed::Frame(frame, _)) => {
                prop_assert!(frame.consumed <= held);
                let whole = frame.fin && frame.opcode == Opcode::Binary;
                if let Ok(Received::Message(message)) = assembler.push(frame) {
                    prop_assert!(whole && matches!(message, Cow::Borrowed(_)));
                }
            }
            Ok(Parsed::Incomplete { needed }) => prop_assert!(needed > held),
            Err(refusal) => prop_assert!(refusal.code != Code::Internal),
        }
    }
}

#[test]
fn text_is_told_from_bytes_where_a_dialect_has_both() {
    let mut assembler = Assembler::new(BOUND);
    assembler.take_text();
    let mut kinds = Vec::new();
    let frames = [
        (0x81, "whole"),
        (0x82, "bytes"),
        (0x01, "in "),
        (0x80, "parts"),
        (0x02, "by"),
        (0x80, "tes"),
    ];
    for (first, payload) in frames {
        let mut frame = masked(first, payload.as_bytes());
        let Ok(Parsed::Frame(frame, _)) = parse(&mut frame, BOUND) else { panic!("a frame") };
        match assembler.push(frame).expect("it is taken") {
            Received::Text(text) => kinds.push(("text", text.into_owned())),
            Received::Message(bytes) => kinds.push(("bytes", bytes.into_owned())),
            other => assert_eq!(other, Received::Fragment),
        }
    }
    let expected =
        [("text", "whole"), ("bytes", "bytes"), ("text", "in parts"), ("bytes", "bytes")];
    assert_eq!(kinds, expected.map(|(kind, bytes)| (kind, bytes.as_bytes().to_vec())));
}
