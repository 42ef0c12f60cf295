//! The byte vectors of `tests/fixtures/wire/` as Sheaf reads and writes them. Node runs the same
//! ones against real Yjs.

use serde::Serialize;
use sheaf_protocol::control::{self, Form};
use sheaf_protocol::frame::{self, Message, messages};
use sheaf_protocol::hocuspocus::{self, Answer, Frame};
use sheaf_protocol::limits::MESSAGE_BYTES_MAX;
use sheaf_protocol::scan;
use sheaf_protocol::varint::{write_text, write_uint};
use sheaf_tests::wire::{
    AwarenessVector, ControlVector, FrameVector, HocuspocusVector, StateVectorVector, UpdateVector,
    bytes, hex, lines, load,
};
use yrs::types::ToJson;
use yrs::updates::decoder::Decode;
use yrs::{Doc, GetString, Transact, Update, WriteTxn};

#[test]
fn frames_are_read_and_written_as_stock_clients_do() {
    for vector in load::<FrameVector>("frames.json") {
        let frame = bytes(&vector.hex);
        let (mut found, mut refused, mut written) = (Vec::new(), None, Vec::new());
        for message in messages(&frame) {
            match message {
                Ok(message) => found.push(named(message, &mut written)),
                Err(refusal) => refused = Some(refusal.code.name().to_owned()),
            }
        }
        assert_eq!((&found, &refused), (&vector.messages, &vector.refused), "{}", vector.name);
        if refused.is_none() {
            assert_eq!(hex(&written), vector.hex, "{}", vector.name);
        }
    }
}

/// The message as the vectors name it; and written again.
fn named(message: Message<'_>, out: &mut Vec<u8>) -> (String, String) {
    let (name, payload) = match message {
        Message::Step1(payload) => {
            frame::write_step1(out, payload);
            ("step1", payload)
        }
        Message::Step2(payload) => {
            frame::write_step2(out, payload);
            ("step2", payload)
        }
        Message::Update(payload) => {
            frame::write_update(out, payload);
            ("update", payload)
        }
        Message::Awareness(payload) => {
            frame::write_awareness(out, payload);
            ("awareness", payload)
        }
        Message::QueryAwareness => {
            frame::write_query_awareness(out);
            ("query_awareness", &[][..])
        }
        Message::AuthDenied(reason) => {
            frame::write_auth_denied(out, reason);
            ("auth_denied", reason.as_bytes())
        }
        Message::Echo(payload) => {
            frame::write_echo(out, payload);
            ("echo", payload)
        }
    };
    (name.to_owned(), hex(payload))
}

#[test]
fn hocuspocus_frames_are_read_as_the_provider_means_them() {
    for vector in load::<HocuspocusVector>("hocuspocus.json") {
        let bytes = bytes(&vector.hex);
        let found = match vector.from.as_str() {
            "client" => hocuspocus::frame(&bytes).map(|frame| addressed(frame, said)),
            "server" => hocuspocus::answer(&bytes).map(|frame| addressed(frame, answered)),
            other => panic!("nobody is a {other}"),
        };
        let expected = match &vector.refused {
            None => Ok((vector.address, vector.message)),
            Some(code) => Err(code.clone()),
        };
        assert_eq!(
            found.map_err(|refusal| refusal.code.name().to_owned()),
            expected,
            "{}",
            vector.name
        );
    }
}

/// Whose a frame is and what it says, as the vectors have it.
fn addressed<M>(frame: Frame<'_, M>, words: fn(M) -> Vec<String>) -> (Option<String>, Vec<String>) {
    match frame {
        Frame::Ping => (None, vec!["ping".to_owned()]),
        Frame::Pong => (None, vec!["pong".to_owned()]),
        Frame::Addressed { address, message } => (Some(address.whole().to_owned()), words(message)),
    }
}

fn said(message: hocuspocus::Message<'_>) -> Vec<String> {
    use hocuspocus::Message;
    match message {
        Message::Document(message) => shared(message),
        Message::Auth { token, provider_version } => {
            let words = ["auth", token.0].into_iter().chain(provider_version);
            words.map(str::to_owned).collect()
        }
        Message::Stateless(text) => vec!["stateless".to_owned(), text.to_owned()],
        Message::BroadcastStateless => vec!["broadcast_stateless".to_owned()],
        Message::Close => vec!["leave".to_owned()],
    }
}

/// What every family says.
fn shared(message: Message<'_>) -> Vec<String> {
    let (name, payload) = named(message, &mut Vec::new());
    match message {
        Message::QueryAwareness => vec![name],
        _ => vec![name, payload],
    }
}

fn answered(message: Answer<'_>) -> Vec<String> {
    match message {
        Answer::Document(message) => shared(message),
        Answer::AuthAgain => vec!["auth_again".to_owned()],
        Answer::AuthDenied(reason) => vec!["auth_denied".to_owned(), reason.to_owned()],
        Answer::AuthScope(scope) => vec!["auth_scope".to_owned(), scope.word().to_owned()],
        Answer::Stateless(text) => vec!["stateless".to_owned(), text.to_owned()],
        Answer::Close(reason) => vec!["close".to_owned(), reason.to_owned()],
        Answer::SyncStatus(is_taken) => {
            vec!["sync_status".to_owned(), u8::from(is_taken).to_string()]
        }
    }
}

#[test]
fn updates_of_yjs_say_the_same_to_the_scan() {
    for vector in load::<UpdateVector>("updates.json") {
        let update = bytes(&vector.hex);
        let scanned = scan::update(&update).expect(&vector.name);
        assert_eq!(lines(&scanned), vector.lines, "{}", vector.name);
        assert_eq!(scanned.check_clients(&mut Vec::new()), Ok(()), "{}", vector.name);
    }
}

#[test]
fn updates_of_yjs_leave_the_same_content_in_a_document() {
    for vector in load::<UpdateVector>("updates.json") {
        let mut state = sheaf_server::document::state::State::new();
        let update = bytes(&vector.hex);
        let scanned = scan::update(&update).expect(&vector.name);
        let source = sheaf_protocol::plan::Source::Step2;
        let plan = state.plan(&scanned, source).expect(&vector.name).expect("a cut, not a drop");
        state.integrate(plan).expect(&vector.name);
        assert_same_json(&content(&state.encode(), &vector), &vector.content, &vector.name);
    }
}

/// The content of the vector's roots in a fresh document with `update`.
fn content(update: &[u8], vector: &UpdateVector) -> serde_json::Value {
    let doc = Doc::new();
    let mut txn = doc.transact_mut();
    txn.apply_update(Update::decode_v1(update).expect("our own")).expect("our own");
    let mut found = serde_json::Map::new();
    for (root, kind) in &vector.roots {
        let value = match kind.as_str() {
            "text" => txn.get_or_insert_text(root.as_str()).get_string(&txn).into(),
            "map" => json(&txn.get_or_insert_map(root.as_str()).to_json(&txn)),
            "array" => json(&txn.get_or_insert_array(root.as_str()).to_json(&txn)),
            "xml" => txn.get_or_insert_xml_fragment(root.as_str()).get_string(&txn).into(),
            other => panic!("no such kind of root: {other}"),
        };
        found.insert(root.clone(), value);
    }
    serde_json::Value::Object(found)
}

fn json(value: &yrs::Any) -> serde_json::Value {
    serde_json::to_value(value).expect("values are JSON")
}

/// Compares with all numbers as JavaScript has them.
fn assert_same_json(found: &serde_json::Value, expected: &serde_json::Value, name: &str) {
    let (found, expected) = [found, expected]
        .map(|value| sheaf_protocol::value::Value::from_json(&value.to_string()).expect("JSON"))
        .into();
    assert_eq!(found, expected, "{name}");
}

#[test]
fn state_vectors_are_read_as_yjs_writes_them() {
    for vector in load::<StateVectorVector>("state_vectors.json") {
        let bytes = bytes(&vector.hex);
        let scanned = scan::state_vector(&bytes).expect(&vector.name);
        assert_eq!(scanned.entries().collect::<Vec<_>>(), vector.entries, "{}", vector.name);
    }
}

#[test]
fn presence_is_read_and_written_as_y_protocols_does() {
    for vector in load::<AwarenessVector>("awareness.json") {
        let bytes = bytes(&vector.hex);
        let scanned = scan::awareness(&bytes).expect(&vector.name);
        let mut written = Vec::new();
        write_uint(&mut written, u64::from(scanned.len()));
        for (entry, expected) in scanned.entries().zip(&vector.entries) {
            let found = (entry.client, entry.clock, entry.state.to_owned());
            assert_eq!(found, *expected, "{}", vector.name);
            write_uint(&mut written, entry.client);
            write_uint(&mut written, u64::from(entry.clock));
            write_text(&mut written, entry.state);
        }
        assert_eq!(hex(&written), vector.hex, "{}", vector.name);
    }
}

#[test]
fn messages_of_the_vault_channel_are_the_same_in_both_forms() {
    for vector in load::<ControlVector>("control.json") {
        let ControlVector { name, from, json, hex, packed, refused } = vector;
        match from.as_str() {
            "client" => {
                let read =
                    control::read_request(&bytes(&hex), Form::MessagePack, MESSAGE_BYTES_MAX);
                let code = read.as_ref().err().map(|misread| misread.code.name().to_owned());
                assert_eq!(code, refused, "{name}");
                let (Ok(read), Some(json)) = (read, json) else { continue };
                let of_json = control::read_request(
                    json.to_string().as_bytes(),
                    Form::Json,
                    MESSAGE_BYTES_MAX,
                );
                assert_eq!(of_json.as_ref(), Ok(&read), "{name}");
                check_written(&name, &read, &json, (!packed).then_some(&hex));
            }
            "server" => {
                let json = json.expect("the server says nothing wrong");
                let read = control::read_reply(&bytes(&hex), Form::MessagePack);
                let of_json = control::read_reply(json.to_string().as_bytes(), Form::Json);
                assert_eq!(of_json, read, "{name}");
                check_written(&name, &read.expect(&name), &json, Some(&hex));
            }
            other => panic!("nobody is a {other}"),
        }
    }
}

fn check_written(
    name: &str,
    message: &impl Serialize,
    json: &serde_json::Value,
    expected: Option<&String>,
) {
    let written = control::write(message, Form::Json);
    let written: serde_json::Value = serde_json::from_slice(&written).expect("JSON");
    assert_eq!(&written, json, "{name}");
    if let Some(expected) = expected {
        assert_eq!(&hex(&control::write(message, Form::MessagePack)), expected, "{name}");
    }
}
