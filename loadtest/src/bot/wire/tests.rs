use super::*;

fn server_frame(opcode: u8, payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    head(&mut out, opcode, payload.len());
    // As a server sends it: without the mask bit and the key.
    out[1] &= 0x7f;
    out.truncate(out.len() - 4);
    out.extend_from_slice(payload);
    out
}

#[test]
fn frames_of_all_lengths_are_found_however_they_are_cut() {
    let payloads = [0, 1, 125, 126, 127, 65_535, 65_536].map(|len| vec![7; len]);
    let stream: Vec<u8> =
        payloads.iter().flat_map(|payload| server_frame(BINARY, payload)).collect();
    for cut in [1, 2, 3, 9, 1_000, stream.len()] {
        let mut frames = Frames::default();
        let mut found = Vec::new();
        for piece in stream.chunks(cut) {
            let take = |frame: Frame<'_>| {
                let Frame::Binary(payload) = frame else { panic!("{frame:?}") };
                found.push(payload.to_vec());
            };
            frames.take(piece, take).unwrap();
        }
        assert_eq!(found, payloads, "cut every {cut} bytes");
        assert!(frames.rest.is_empty());
    }
}

#[test]
fn pings_and_close_codes_are_told_apart() {
    let mut bytes = server_frame(PING, b"?");
    bytes.extend(server_frame(CLOSE, &4401_u16.to_be_bytes()));
    bytes.extend(server_frame(CLOSE, &[]));
    let mut found = Vec::new();
    Frames::default().take(&bytes, |frame| found.push(format!("{frame:?}"))).unwrap();
    assert_eq!(found, ["Ping([63])", "Close(4401)", "Close(1005)"]);
    assert!(Frames::default().take(&[0x02, 0], |_| {}).is_err(), "a fragment");
}

#[test]
fn addresses_keep_their_prefix() {
    let address = Address::new("ws://localhost:1234/v1/vaults/a/docs/").unwrap().under("room");
    assert_eq!(
        (address.host.as_str(), address.path.as_str()),
        ("localhost:1234", "/v1/vaults/a/docs/room")
    );
    let address = Address::new("ws://localhost").unwrap();
    assert_eq!((address.host.as_str(), address.path.as_str()), ("localhost:80", "/"));
    assert_eq!(address.under("room").path, "/room");
    assert!(Address::new("http://localhost").is_err());
}
