//! Which addresses are taken, and what the user is told.

use super::*;

#[test]
fn an_address_is_http_and_holds_no_secret() {
    for good in ["http://127.0.0.1:1234", "https://notes.example.org/sheaf/", "http://[::1]:9"] {
        assert!(parse(good).is_ok(), "{good}");
    }
    for bad in ["127.0.0.1:1234", "ftp://host", "http://a:b@host", "http://host/?token=x", ""] {
        assert!(parse(bad).is_err(), "{bad}");
    }
}

#[test]
fn a_token_may_go_in_the_clear_to_this_machine_alone() {
    for (address, is_own) in [
        ("http://127.0.0.1:1234", true),
        ("http://[::1]:1234", true),
        ("http://localhost", true),
        ("http://10.0.0.1", false),
        ("http://localhost.example", false),
    ] {
        assert_eq!(is_loopback(&parse(address).expect("an address")), is_own, "{address}");
    }
}

#[test]
fn who_needs_a_token_is_told_how_to_give_it() {
    let error = Error::Refused {
        status: 401,
        code: "unauthorised".into(),
        message: "a token is needed here".into(),
        details: Map::new(),
    };
    assert!(error.to_string().contains("--token-file"), "{error}");
    assert!(error.is_final());
}
