use super::*;

fn headers(all: &[(&'static str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in all {
        headers.append(*name, value.parse().expect("legal"));
    }
    headers
}

fn of(range: &str) -> Wanted {
    wanted(&headers(&[("range", range)]), "\"a\"", 10)
}

#[test]
fn a_range_is_what_the_standard_says() {
    for (range, part) in [
        ("bytes=0-0", 0..1),
        ("bytes=0-9", 0..10),
        ("bytes=3-", 3..10),
        ("bytes=3-99", 3..10),
        ("bytes=9-18446744073709551615", 9..10),
        ("bytes=-3", 7..10),
        ("bytes=-99", 0..10),
    ] {
        assert_eq!(of(range), Wanted::Part(part), "{range}");
    }
    for range in ["bytes=10-", "bytes=10-12", "bytes=-0"] {
        assert_eq!(of(range), Wanted::Nothing, "{range}");
    }
    for range in [
        "bytes=0-1,3-4",
        "bytes=4-3",
        "bytes=-",
        "bytes=a-b",
        "bytes=+1-2",
        "bytes=1",
        "bytes",
        "lines=0-1",
        "bytes=0-99999999999999999999",
    ] {
        assert_eq!(of(range), Wanted::All, "{range}");
    }
    assert_eq!(wanted(&HeaderMap::new(), "\"a\"", 10), Wanted::All);
    assert_eq!(wanted(&headers(&[("range", "bytes=0-")]), "\"a\"", 0), Wanted::Nothing);
}

#[test]
fn a_range_depends_on_what_it_is_of() {
    let with = |condition| {
        wanted(&headers(&[("range", "bytes=1-2"), ("if-range", condition)]), "\"a\"", 10)
    };
    assert_eq!(with("\"a\""), Wanted::Part(1..3));
    for condition in ["\"b\"", "W/\"a\"", "Sun, 22 Nov 2026 10:00:00 GMT"] {
        assert_eq!(with(condition), Wanted::All, "{condition}");
    }
}

#[test]
fn a_writer_says_what_part_of_what() {
    let of = |range| sent(&headers(&[("content-range", range)]));
    assert_eq!(sent(&HeaderMap::new()), Ok(None));
    assert_eq!(of("bytes 0-4/10"), Ok(Some(Sent { part: 0..5, size: 10 })));
    assert_eq!(of("bytes 9-9/10"), Ok(Some(Sent { part: 9..10, size: 10 })));
    for wrong in [
        "bytes 0-10/10",
        "bytes 5-4/10",
        "bytes */10",
        "bytes 0-4/*",
        "bytes=0-4/10",
        "bytes 0-4",
        "0-4/10",
        "bytes 0-18446744073709551615/18446744073709551615",
    ] {
        assert!(of(wrong).is_err(), "{wrong}");
    }
    let twice = headers(&[("content-range", "bytes 0-4/10"), ("content-range", "bytes 0-4/10")]);
    assert!(sent(&twice).is_err());
}
