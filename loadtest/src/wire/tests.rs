use super::*;

fn server_frame(opcode: u8, payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    frame(&mut out, opcode, payload);
    // As a server sends it: without the mask bit and the key.
    out[1] &= 0x7f;
    let header = out.len() - payload.len();
    out.drain(header - 4..header);
    out
}

#[test]
fn frames_of_all_lengths_are_found_however_they_are_cut() {
    let payloads = [0, 1, 125, 126, 127, 65_535, 65_536].map(|len| vec![7; len]);
    let stream: Vec<u8> =
        payloads.iter().flat_map(|payload| server_frame(BINARY, payload)).collect();
    for cut in [1, 2, 3, 9, 1_000, stream.len()] {
        let mut frames = Frames { bytes: Vec::new(), start: 0 };
        let mut found = Vec::new();
        for piece in stream.chunks(cut) {
            frames.bytes.drain(..frames.start);
            frames.start = 0;
            frames.bytes.extend_from_slice(piece);
            while let Some(frame) = frames.next().unwrap() {
                let Frame::Binary(payload) = frame else { panic!("{frame:?}") };
                found.push(payload.to_vec());
            }
        }
        assert_eq!(found, payloads, "cut every {cut} bytes");
    }
}

#[test]
fn pings_and_close_codes_are_told_apart() {
    let mut bytes = server_frame(PING, b"?");
    bytes.extend(server_frame(CLOSE, &4401_u16.to_be_bytes()));
    bytes.extend(server_frame(CLOSE, &[]));
    let mut frames = Frames { bytes, start: 0 };
    assert_eq!(frames.next().unwrap(), Some(Frame::Ping(b"?")));
    assert_eq!(frames.next().unwrap(), Some(Frame::Close(4401)));
    assert_eq!(frames.next().unwrap(), Some(Frame::Close(1005)));
    assert_eq!(frames.next().unwrap(), None);
}

#[test]
fn addresses_keep_their_prefix() {
    let address = Address::new("ws://localhost:1234/v1/vaults/a/docs/", "room").unwrap();
    assert_eq!(
        (address.host.as_str(), address.path.as_str()),
        ("localhost:1234", "/v1/vaults/a/docs/room")
    );
    let address = Address::new("ws://localhost", "room").unwrap();
    assert_eq!((address.host.as_str(), address.path.as_str()), ("localhost:80", "/room"));
    assert!(Address::new("http://localhost", "room").is_err());
}
