//! Links, as tables.

use super::*;
use crate::auth::forwarded::Forwarded;

#[test]
fn an_address_for_links_is_told_for_both_protocols() {
    for (text, http, websocket) in [
        ("https://notes.example.org", "https://notes.example.org", "wss://notes.example.org"),
        ("http://127.0.0.1:1234/", "http://127.0.0.1:1234", "ws://127.0.0.1:1234"),
        ("https://[::1]:8443/a/b/", "https://[::1]:8443/a/b", "wss://[::1]:8443/a/b"),
    ] {
        let base: Base = text.parse().expect(text);
        assert_eq!((&*base.http(), &*base.websocket()), (http, websocket));
    }
}

#[test]
fn what_no_link_begins_with_is_refused() {
    for text in [
        "",
        "notes.example.org",
        "/notes",
        "ws://notes.example.org",
        "https://",
        "https://me@notes.example.org",
        "https://notes.example.org/?a=b",
        "https://notes.example.org/#a",
        "https://notes example.org",
    ] {
        let error = text.parse::<Base>().expect_err(text).to_string();
        assert!(error.contains("https://notes.example.org"), "{error}");
    }
}

#[test]
fn a_request_says_how_it_was_addressed() {
    let addressed = |hosts: &[&str], is_tls, forwarded: Option<&str>| {
        let mut request = Request::get("/");
        for host in hosts {
            request = request.header("host", *host);
        }
        let mut request = request.body(()).expect("a legal request");
        if let Some(host) = forwarded {
            let host = Some(host.to_owned());
            request.extensions_mut().insert(Forwarded { host, ..Forwarded::default() });
        }
        Base::of_request(&request, is_tls).map(|base| base.http())
    };
    let some = |text: &str| Some(text.to_owned());
    assert_eq!(addressed(&["a.example:80"], false, None), some("http://a.example:80"));
    assert_eq!(addressed(&["[::1]:80"], true, None), some("https://[::1]:80"));
    assert_eq!(addressed(&["inside"], true, Some("b.example")), some("https://b.example"));
    assert_eq!(addressed(&[], false, None), None);
    assert_eq!(addressed(&["a", "b"], false, None), None);
    for host in ["", "a b", "a/b", "me@a", "a\"b"] {
        assert_eq!(addressed(&[host], false, None), None, "{host}");
    }
}
