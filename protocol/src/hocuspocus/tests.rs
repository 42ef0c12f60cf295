use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::error::Code;
use crate::frame::Message as Core;

type Write = fn(&mut Vec<u8>);

/// `notes` as an address.
const NOTES: &[u8] = b"\x05notes";

fn said(bytes: &[u8]) -> Result<(&str, Message<'_>), Code> {
    match frame(bytes).map_err(|refusal| refusal.code)? {
        Frame::Addressed { address, message } => Ok((address.whole(), message)),
        other => panic!("{other:?} is nobody's"),
    }
}

fn answered(bytes: &[u8]) -> Result<(&str, Answer<'_>), Code> {
    match answer(bytes).map_err(|refusal| refusal.code)? {
        Frame::Addressed { address, message } => Ok((address.whole(), message)),
        other => panic!("{other:?} is nobody's"),
    }
}

fn auth<'a>(token: &'a str, provider_version: Option<&'a str>) -> Message<'a> {
    Message::Auth { token: Token(token), provider_version }
}

/// What a provider sends: in words, written by us, behind the address, read.
fn of_clients() -> [(&'static str, Write, &'static [u8], Message<'static>); 10] {
    [
        (
            "a SyncStep1 of an empty document",
            |out| write_step1(out, "notes", &[0]),
            &[0, 0, 1, 0],
            Message::Document(Core::Step1(&[0])),
        ),
        (
            "the SyncStep2 that answers ours",
            |out| write_step2(out, "notes", &[0, 0]),
            &[0, 1, 2, 0, 0],
            Message::Document(Core::Step2(&[0, 0])),
        ),
        (
            "an edit",
            |out| write_update(out, "notes", &[0, 0]),
            &[0, 2, 2, 0, 0],
            Message::Document(Core::Update(&[0, 0])),
        ),
        (
            "its own presence",
            |out| write_awareness(out, "notes", &[1, 7, 0, 2, 0x7b, 0x7d]),
            &[1, 6, 1, 7, 0, 2, 0x7b, 0x7d],
            Message::Document(Core::Awareness(&[1, 7, 0, 2, 0x7b, 0x7d])),
        ),
        (
            "a token of provider 2 or 3",
            |out| write_auth(out, "notes", "let me", None),
            b"\x02\x00\x06let me",
            auth("let me", None),
        ),
        (
            "a token of provider 4.8.0",
            |out| write_auth(out, "notes", "let me", Some("4.8.0")),
            b"\x02\x00\x06let me\x054.8.0",
            auth("let me", Some("4.8.0")),
        ),
        (
            "no token, of provider 3",
            |out| write_auth(out, "notes", "", None),
            &[2, 0, 0],
            auth("", None),
        ),
        (
            "a query for presence",
            |out| write_query_awareness(out, "notes"),
            &[3],
            Message::Document(Core::QueryAwareness),
        ),
        (
            "a stateless message",
            |out| write_stateless(out, "notes", "hi"),
            &[5, 2, 0x68, 0x69],
            Message::Stateless("hi"),
        ),
        ("a leave", |out| write_leave(out, "notes"), &[7], Message::Close),
    ]
}

/// What we send: in words, written by us, behind the address, read.
fn of_servers() -> [(&'static str, Write, &'static [u8], Answer<'static>); 11] {
    [
        (
            "a SyncStep2 of an empty document",
            |out| {
                write_step2_head(out, "notes", 2);
                out.extend_from_slice(&[0, 0]);
            },
            &[0, 1, 2, 0, 0],
            Answer::Document(Core::Step2(&[0, 0])),
        ),
        (
            "an edit of somebody else",
            |out| write_update(out, "notes", &[0, 0]),
            &[0, 2, 2, 0, 0],
            Answer::Document(Core::Update(&[0, 0])),
        ),
        (
            "a sign of life",
            |out| write_keep_alive(out, "notes"),
            &[1, 1, 0],
            Answer::Document(Core::Awareness(&[0])),
        ),
        ("the token once more", |out| write_auth_again(out, "notes"), &[2, 0], Answer::AuthAgain),
        (
            "a refusal",
            |out| write_auth_denied(out, "notes", "no"),
            &[2, 1, 2, 0x6e, 0x6f],
            Answer::AuthDenied("no"),
        ),
        (
            "leave to write",
            |out| write_auth_scope(out, "notes", Scope::ReadWrite),
            b"\x02\x02\x0aread-write",
            Answer::AuthScope(Scope::ReadWrite),
        ),
        (
            "leave to read",
            |out| write_auth_scope(out, "notes", Scope::ReadOnly),
            b"\x02\x02\x08readonly",
            Answer::AuthScope(Scope::ReadOnly),
        ),
        (
            "a stateless message",
            |out| write_stateless(out, "notes", "hi"),
            &[5, 2, 0x68, 0x69],
            Answer::Stateless("hi"),
        ),
        (
            "a close",
            |out| write_close(out, "notes", "gone"),
            b"\x07\x04gone",
            Answer::Close("gone"),
        ),
        (
            "a change that is durable",
            |out| write_sync_status(out, "notes", true),
            &[8, 1],
            Answer::SyncStatus(true),
        ),
        (
            "a change that was not taken",
            |out| write_sync_status(out, "notes", false),
            &[8, 0],
            Answer::SyncStatus(false),
        ),
    ]
}

#[test]
fn what_clients_say_has_golden_bytes() {
    for (name, write, behind, message) in of_clients() {
        let mut out = Vec::new();
        write(&mut out);
        assert_eq!(out, [NOTES, behind].concat(), "{name}");
        assert_eq!(said(&out), Ok(("notes", message)), "{name}");
    }
}

#[test]
fn what_servers_say_has_golden_bytes() {
    for (name, write, behind, message) in of_servers() {
        let mut out = Vec::new();
        write(&mut out);
        assert_eq!(out, [NOTES, behind].concat(), "{name}");
        assert_eq!(answered(&out), Ok(("notes", message)), "{name}");
    }
}

#[test]
fn a_cut_frame_and_one_with_bytes_left_over_are_malformed() {
    for (name, _, behind, message) in of_clients() {
        let mut whole = [NOTES, behind].concat();
        for end in 0..whole.len() {
            // Without its version the token of provider 4 is that of provider 3.
            let is_older = end == whole.len() - 6 && message == auth("let me", Some("4.8.0"));
            let expected =
                if is_older { Ok(("notes", auth("let me", None))) } else { Err(Code::Malformed) };
            assert_eq!(said(&whole[..end]), expected, "{name} cut at {end}");
        }
        whole.push(0xff);
        assert_eq!(said(&whole), Err(Code::Malformed), "{name} and a byte more");
    }
    for (name, _, behind, _) in of_servers() {
        let mut whole = [NOTES, behind].concat();
        for end in 0..whole.len() {
            assert_eq!(answered(&whole[..end]), Err(Code::Malformed), "{name} cut at {end}");
        }
        whole.push(0xff);
        assert_eq!(answered(&whole), Err(Code::Malformed), "{name} and a byte more");
    }
}

#[test]
fn a_ping_and_a_pong_are_whole_frames_of_one_byte() {
    assert_eq!(frame(&PING), Ok(Frame::Ping));
    assert_eq!(frame(&PONG), Ok(Frame::Pong));
    assert_eq!(answer(&PING), Ok(Frame::Ping));
    assert_eq!(answer(&PONG), Ok(Frame::Pong));
    assert!(frame(&[9, 0]).is_err());
    assert!(frame(&[5, 9]).is_err());
    assert_eq!(
        said(b"\x09ninebytes\x03"),
        Ok(("ninebytes", Message::Document(Core::QueryAwareness)))
    );
    assert_eq!(
        said(b"\x0atenletters\x03"),
        Ok(("tenletters", Message::Document(Core::QueryAwareness)))
    );
}

#[test]
fn an_address_is_kept_as_it_came() {
    let parts = |bytes: &'static [u8]| match frame(bytes).expect("well formed") {
        Frame::Addressed { address, .. } => (address.whole(), address.name(), address.session()),
        other => panic!("{other:?} is nobody's"),
    };
    assert_eq!(parts(b"\x05notes\x03"), ("notes", "notes", None));
    assert_eq!(parts(b"\x08notes\0s1\x03"), ("notes\0s1", "notes", Some("s1")));
    assert_eq!(parts(b"\x06notes\0\x03"), ("notes\0", "notes", Some("")));
    assert_eq!(parts(b"\x04a/\xc3\xa9\x03"), ("a/é", "a/é", None));
}

#[test]
fn a_name_that_no_document_has_is_refused() {
    let refused: [(&str, &[u8]); 5] = [
        ("no name", b"\x00\x03"),
        ("a session without a name", b"\x03\0s1\x03"),
        ("two NULs", b"\x05a\0b\0c\x03"),
        ("a NUL at either end", b"\x03a\0\0\x03"),
        ("no UTF-8", b"\x02\xc3\x28\x03"),
    ];
    for (name, bytes) in refused {
        assert_eq!(said(bytes), Err(Code::Malformed), "{name}");
    }
}

#[test]
fn what_only_servers_say_is_malformed_from_a_client() {
    let refused: [(&str, &[u8]); 6] = [
        ("a reply between servers", &[4, 0, 1, 0]),
        ("a sync status", &[8, 1]),
        ("a refusal", &[2, 1, 2, 0x6e, 0x6f]),
        ("a scope", b"\x02\x02\x08readonly"),
        ("the token once more", &[2, 0]),
        ("a close with a reason", b"\x07\x04gone"),
    ];
    for (name, behind) in refused {
        assert_eq!(said(&[NOTES, behind].concat()), Err(Code::Malformed), "{name}");
    }
    assert_eq!(answered(b"\x05notes\x04\x00\x01\x00"), Err(Code::Malformed));
}

#[test]
fn unknown_messages_are_malformed() {
    let unknown: [&[u8]; 7] = [
        &[9],
        &[10],
        &[11],
        &[0x66, 1, 7],
        &[0, 3, 0],
        &[2, 3, 0],
        &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1],
    ];
    for behind in unknown {
        let bytes = [NOTES, behind].concat();
        assert_eq!(said(&bytes), Err(Code::Malformed), "{behind:?}");
        assert_eq!(answered(&bytes), Err(Code::Malformed), "{behind:?}");
    }
    for behind in [&b"\x08\x02"[..], b"\x08\x41", b"\x02\x02\x05admin"] {
        assert_eq!(answered(&[NOTES, behind].concat()), Err(Code::Malformed), "{behind:?}");
    }
}

#[test]
fn a_broadcast_from_a_client_is_seen_to_be_one() {
    assert_eq!(said(b"\x05notes\x06\x02hi"), Ok(("notes", Message::BroadcastStateless)));
    assert_eq!(said(b"\x05notes\x06\x03hi"), Err(Code::Malformed));
    assert_eq!(answered(b"\x05notes\x06\x02hi"), Err(Code::Malformed));
}

#[test]
fn long_parts_are_refused_at_their_bounds() {
    type Long = (fn(&mut Vec<u8>, &str), usize);
    let of_clients: [Long; 5] = [
        (|out, name| write_leave(out, name), DOCUMENT_NAME_BYTES_MAX),
        (|out, session| write_leave(out, &format!("notes\0{session}")), SESSION_ID_BYTES_MAX),
        (|out, token| write_auth(out, "notes", token, None), TOKEN_BYTES_MAX),
        (|out, text| write_auth(out, "notes", "", Some(text)), PROVIDER_VERSION_BYTES_MAX),
        (|out, text| write_stateless(out, "notes", text), STATELESS_BYTES_MAX),
    ];
    let of_servers: [Long; 3] = [
        (|out, reason| write_auth_denied(out, "notes", reason), REASON_BYTES_MAX),
        (|out, reason| write_close(out, "notes", reason), REASON_BYTES_MAX),
        (|out, text| write_stateless(out, "notes", text), STATELESS_BYTES_MAX),
    ];
    let written = |write: fn(&mut Vec<u8>, &str), len: usize| {
        let mut out = Vec::new();
        write(&mut out, &"l".repeat(len));
        out
    };
    for (write, bytes_max) in of_clients {
        assert!(said(&written(write, bytes_max)).is_ok(), "{bytes_max}");
        assert_eq!(said(&written(write, bytes_max + 1)), Err(Code::TooLarge), "{bytes_max}");
    }
    for (write, bytes_max) in of_servers {
        assert!(answered(&written(write, bytes_max)).is_ok(), "{bytes_max}");
        assert_eq!(answered(&written(write, bytes_max + 1)), Err(Code::TooLarge), "{bytes_max}");
    }
    let mut longest = Vec::new();
    write_update(&mut longest, "notes", &vec![0; MESSAGE_BYTES_MAX - 12]);
    assert_eq!(longest.len(), MESSAGE_BYTES_MAX);
    assert!(said(&longest).is_ok());
    longest.push(0);
    assert_eq!(said(&longest), Err(Code::TooLarge));
}

#[test]
fn a_token_is_not_shown() {
    let shown = format!("{:?}", said(b"\x05notes\x02\x00\x06secret"));
    assert!(!shown.contains("secret"), "{shown}");
}

/// What both ends may put into their messages.
#[derive(Debug)]
struct Parts {
    address: String,
    payload: Vec<u8>,
    text: String,
    version: Option<String>,
    is_taken: bool,
}

fn parts() -> impl Strategy<Value = Parts> {
    let session = proptest::option::of("[^\0]{0,16}");
    let address = ("[^\0]{1,200}", session).prop_map(|(name, session)| match session {
        Some(session) => format!("{name}\0{session}"),
        None => name,
    });
    let version = proptest::option::of("[0-9a-z.-]{0,64}");
    (address, vec(any::<u8>(), 0..300), any::<String>(), version, any::<bool>()).prop_map(
        |(address, payload, text, version, is_taken)| Parts {
            address,
            payload,
            text,
            version,
            is_taken,
        },
    )
}

fn check_said(to: &str, message: Message<'_>, write: impl FnOnce(&mut Vec<u8>)) {
    let mut out = Vec::new();
    write(&mut out);
    assert_eq!(said(&out), Ok((to, message)));
}

fn check_answered(to: &str, message: Answer<'_>, write: impl FnOnce(&mut Vec<u8>)) {
    let mut out = Vec::new();
    write(&mut out);
    assert_eq!(answered(&out), Ok((to, message)));
}

fn check_clients_writers(Parts { address: to, payload, text, version, .. }: &Parts) {
    let version = version.as_deref();
    check_said(to, Message::Document(Core::Step1(payload)), |out| write_step1(out, to, payload));
    check_said(to, Message::Document(Core::Step2(payload)), |out| write_step2(out, to, payload));
    check_said(to, Message::Document(Core::Update(payload)), |out| write_update(out, to, payload));
    check_said(to, Message::Document(Core::Awareness(payload)), |out| {
        write_awareness(out, to, payload);
    });
    check_said(to, auth(text, version), |out| write_auth(out, to, text, version));
    check_said(to, Message::Document(Core::QueryAwareness), |out| write_query_awareness(out, to));
    check_said(to, Message::Stateless(text), |out| write_stateless(out, to, text));
    check_said(to, Message::Close, |out| write_leave(out, to));
}

fn check_servers_writers(Parts { address: to, payload, text, is_taken, .. }: &Parts) {
    let scope = if *is_taken { Scope::ReadWrite } else { Scope::ReadOnly };
    check_answered(to, Answer::Document(Core::Step1(payload)), |out| write_step1(out, to, payload));
    check_answered(to, Answer::Document(Core::Step2(payload)), |out| {
        write_step2_head(out, to, payload.len());
        out.extend_from_slice(payload);
    });
    check_answered(to, Answer::Document(Core::Update(payload)), |out| {
        write_update(out, to, payload);
        assert_eq!(out.len(), update_len(to, payload.len()));
    });
    check_answered(to, Answer::Document(Core::Awareness(payload)), |out| {
        write_awareness(out, to, payload);
    });
    check_answered(to, Answer::Document(Core::Awareness(&[0])), |out| write_keep_alive(out, to));
    check_answered(to, Answer::AuthAgain, |out| write_auth_again(out, to));
    check_answered(to, Answer::AuthDenied(text), |out| write_auth_denied(out, to, text));
    check_answered(to, Answer::AuthScope(scope), |out| write_auth_scope(out, to, scope));
    check_answered(to, Answer::Stateless(text), |out| write_stateless(out, to, text));
    check_answered(to, Answer::Close(text), |out| write_close(out, to, text));
    check_answered(to, Answer::SyncStatus(*is_taken), |out| write_sync_status(out, to, *is_taken));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..Default::default() })]

    #[test]
    fn what_is_written_is_read(parts in parts()) {
        check_clients_writers(&parts);
        check_servers_writers(&parts);
    }

    #[test]
    fn any_bytes_are_read_or_refused_without_a_panic(
        bytes in vec(any::<u8>(), 0..64),
        (kind, behind) in (0..12_u8, vec(0..16_u8, 0..12)),
    ) {
        let likely = [NOTES, &[kind], &behind].concat();
        for bytes in [&bytes, &likely] {
            for refusal in [frame(bytes).err(), answer(bytes).err()].into_iter().flatten() {
                prop_assert!(refusal.at <= bytes.len());
            }
        }
    }
}
