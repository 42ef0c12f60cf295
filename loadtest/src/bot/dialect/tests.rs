use super::*;

fn room(dialect: Dialect) -> Room {
    let target = Target::attached("ws://127.0.0.1:1", None, dialect);
    Room::new(&target, "doc").unwrap()
}

/// The payloads of masked frames of less than 126 bytes.
fn payloads(mut frames: &[u8]) -> Vec<Vec<u8>> {
    let mut payloads = Vec::new();
    while let [_, len, _, _, _, _, rest @ ..] = frames {
        let (payload, after) = rest.split_at(usize::from(len & 0x7f));
        payloads.push(payload.to_vec());
        frames = after;
    }
    payloads
}

#[test]
fn a_document_is_opened_as_stock_clients_do_it() {
    let mut out = Vec::new();
    room(Dialect::YWebsocket).write_opening(EMPTY_STATE_VECTOR, &mut out);
    assert_eq!(payloads(&out), [&[0, 0, 1, 0][..], &[0, 1, 2, 0, 0]]);
    out.clear();
    room(Dialect::YSweet).write_opening(EMPTY_STATE_VECTOR, &mut out);
    assert_eq!(payloads(&out), [&[0, 0, 1, 0][..], &[102, 1, 0], &[0, 1, 2, 0, 0]]);
    out.clear();
    room(Dialect::Hocuspocus).write_opening(EMPTY_STATE_VECTOR, &mut out);
    let auth = b"\x03doc\x02\x00\x00\x054.8.0";
    assert_eq!(payloads(&out), [&auth[..], b"\x03doc\0\0\x01\0", b"\x03doc\0\x01\x02\0\0"]);
}

#[test]
fn an_update_is_framed_and_read_in_every_dialect() {
    for dialect in [Dialect::YWebsocket, Dialect::Hocuspocus, Dialect::YSweet] {
        let room = room(dialect);
        for len in [2, 127, 128, 20_000] {
            let (update, mut out) = (vec![7; len], Vec::new());
            room.write_update(&update, &mut out);
            let head = match out[1] & 0x7f {
                126 => 8,
                _ => 6,
            };
            assert_eq!(room.read(&out[head..]), Heard::Update(&update));
        }
    }
}

#[test]
fn what_only_hocuspocus_says_is_understood() {
    let room = room(Dialect::Hocuspocus);
    assert_eq!(room.read(b"\x03doc\x08\x01"), Heard::Ack(&[]));
    assert_eq!(room.read(b"\x03doc\x02\x02\x0aread-write"), Heard::Other);
    assert_eq!(room.read(b"\x03doc\x02\x01\x02no"), Heard::Refused("no"));
    assert_eq!(room.read(b"\x09"), Heard::Ping(&[]));
    assert_eq!(room.read(b"\x05other\x08\x01"), Heard::Other);
    assert!(matches!(room.read(b"\x03doc\x08\x00"), Heard::Refused(_)));
}

#[test]
fn a_token_is_found_in_a_chunked_answer() {
    let body = b"1a\r\n{\"url\":\"ws://h/d/a/ws\"}\r\n0\r\n\r\n";
    let value: serde_json::Value = json(body).unwrap();
    assert_eq!(value["url"], "ws://h/d/a/ws");
    assert!(json::<serde_json::Value>(b"no").is_none());
}
