//! Codings by their names and weights, both ways, and bodies that are bombs.

use std::io::Write as _;

use super::*;

fn headers(name: HeaderName, value: &str) -> HeaderMap {
    HeaderMap::from_iter([(name, value.parse().unwrap())])
}

fn memory() -> Budget {
    Budget::new(1 << 30)
}

/// The name of an error's code.
fn code(error: Error) -> &'static str {
    let event = error.into_event();
    let names = ["malformed", "too_large", "try_later", "unsupported"];
    names.into_iter().find(|name| event.contains(name)).expect("one of these")
}

fn unpacked(coding: Coding, bytes: Vec<u8>, bytes_max: usize) -> Result<Bytes, &'static str> {
    let read = Read { bytes: bytes.into(), permit: None };
    let decoded = decoded(coding, &read, bytes_max, &memory());
    decoded.map(|read| read.bytes).map_err(code)
}

#[test]
fn the_coding_of_the_greatest_weight_is_taken() {
    for (accept, due) in [
        ("gzip", Some(Coding::Gzip)),
        ("gzip, deflate, br, zstd", Some(Coding::Zstd)),
        ("zstd, gzip", Some(Coding::Zstd)),
        ("GZIP;q=0.9, zstd;q=0.5", Some(Coding::Gzip)),
        ("gzip;q=0", None),
        ("gzip;q=x", None),
        ("gzip;q=0, zstd ; q=0.1", Some(Coding::Zstd)),
        ("br, *", None),
        ("identity", None),
        ("", None),
    ] {
        assert_eq!(wanted(&headers(header::ACCEPT_ENCODING, accept)), due, "{accept}");
    }
    assert_eq!(wanted(&HeaderMap::new()), None);
}

#[test]
fn what_is_packed_is_what_was_there_and_a_bomb_ends_at_the_bound() {
    let text = Bytes::from("a line of text\n".repeat(10_000));
    for coding in [Coding::Gzip, Coding::Zstd] {
        let packed = pack(coding, &text);
        assert!(packed.len() < text.len() / 20, "{} bytes", packed.len());
        assert_eq!(unpacked(coding, packed.clone(), text.len()), Ok(text.clone()));
        assert_eq!(unpacked(coding, packed.clone(), text.len() - 1), Err("too_large"));
        assert_eq!(
            unpacked(coding, packed[..packed.len() - 9].to_vec(), 1 << 20),
            Err("malformed")
        );
        assert_eq!(unpacked(coding, text.to_vec(), 1 << 20), Err("malformed"));
        let bomb = pack(coding, &Bytes::from(vec![0; 64 << 20]));
        assert!(bomb.len() < 1 << 20);
        assert_eq!(unpacked(coding, bomb, 1 << 20), Err("too_large"));
    }
    let small = Read { bytes: pack(Coding::Gzip, &text).into(), permit: None };
    let (memory, mut permit) = (Budget::new(1 << 18), None);
    assert!(memory.try_cover(&mut permit, 1 << 18), "it is all another's");
    let refused = decoded(Coding::Gzip, &small, 1 << 20, &memory);
    assert_eq!(refused.map_err(code).err(), Some("try_later"));
}

#[test]
fn a_window_that_costs_too_much_memory_is_refused() {
    let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), 1).unwrap();
    encoder.window_log(27).unwrap();
    encoder.write_all(&[1; 200]).unwrap();
    let wide = encoder.finish().unwrap();
    assert_eq!(unpacked(Coding::Zstd, wide, 1 << 20), Err("malformed"));
}

#[test]
fn a_body_comes_as_it_is_or_in_a_known_coding() {
    let of = |value| of_request(&headers(header::CONTENT_ENCODING, value));
    assert_eq!(of("identity").ok(), Some(None));
    assert_eq!(of("gzip").ok(), Some(Some(Coding::Gzip)));
    assert_eq!(of("Zstd").ok(), Some(Some(Coding::Zstd)));
    for unknown in ["br", "gzip, gzip", "x"] {
        assert_eq!(of(unknown).map_err(code).err(), Some("unsupported"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn large_texts_are_packed_for_who_wants_it_and_nothing_else() {
    let answer = |kind: &'static str, text: &str| {
        warp::reply::with_header(text.to_owned(), "content-type", kind).into_response()
    };
    let text = "text ".repeat(1000);
    let packed = encoded(Some(Coding::Gzip), answer("text/plain; charset=utf-8", &text)).await;
    assert_eq!(packed.headers()["content-encoding"], "gzip");
    assert_eq!(packed.headers()["vary"], "accept-encoding");
    let bytes = packed.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(unpacked(Coding::Gzip, bytes.to_vec(), 1 << 20), Ok(text.clone().into()));
    for (wanted, kind, text) in [
        (None, "application/json", &*text),
        (Some(Coding::Zstd), "text/event-stream", &text),
        (Some(Coding::Zstd), "application/octet-stream", &text),
        (Some(Coding::Zstd), "text/plain", "short"),
    ] {
        let plain = encoded(wanted, answer(kind, text)).await;
        assert!(!plain.headers().contains_key("content-encoding"), "{kind}");
        let has_vary = plain.headers().contains_key("vary");
        assert_eq!(has_vary, wanted.is_none(), "{kind}");
        assert_eq!(plain.into_body().collect().await.unwrap().to_bytes(), text);
    }
}
