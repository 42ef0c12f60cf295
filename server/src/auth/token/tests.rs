//! Where a token stands, and which subprotocol is answered.

use hyper::Request;

use super::*;

fn parts(uri: &str, headers: &[(&str, &str)]) -> Parts {
    let mut request = Request::get(uri);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(()).expect("a legal request").into_parts().0
}

fn carried(uri: &str, headers: &[(&str, &str)]) -> Option<String> {
    match of_request(&parts(uri, headers)) {
        Carried::Token(token) => Some(token.into_owned()),
        Carried::None => None,
        Carried::TooLong => Some("too long".to_owned()),
    }
}

const OFFER: &str = "sec-websocket-protocol";

#[test]
fn a_token_stands_in_a_header_the_query_or_a_subprotocol() {
    let bearer = ("authorization", "Bearer one");
    let encoded = format!("{PROTOCOL}{}", URL_SAFE_NO_PAD.encode("thrée"));
    assert_eq!(carried("/", &[bearer]).as_deref(), Some("one"));
    assert_eq!(carried("/?token=t%77o", &[]).as_deref(), Some("two"));
    assert_eq!(carried("/", &[(OFFER, &encoded)]).as_deref(), Some("thrée"));
    assert_eq!(carried("/", &[(OFFER, "chat, yauth-a.b.c")]).as_deref(), Some("a.b.c"));
    assert_eq!(carried("/?token=two", &[bearer, (OFFER, "yauth-x")]).as_deref(), Some("one"));
    for none in [&[(OFFER, "chat")][..], &[(OFFER, "yauth-")], &[(OFFER, "sheaf.token.!")]] {
        assert_eq!(carried("/?token=&xtoken=a", none), None);
    }
}

#[test]
fn a_huge_token_is_not_even_hashed() {
    let fits = "x".repeat(TOKEN_BYTES_MAX);
    assert_eq!(carried(&format!("/?token={fits}"), &[]).as_deref(), Some(&*fits));
    assert_eq!(of_request(&parts(&format!("/?token=x{fits}"), &[])), Carried::TooLong);
}

#[test]
fn the_answer_names_a_subprotocol_that_is_no_token_if_there_is_one() {
    let chosen = |offer: &str| {
        let chosen = chosen_protocol(&parts("/", &[(OFFER, offer)]).headers);
        chosen.map(|chosen| chosen.to_str().expect("text").to_owned())
    };
    assert_eq!(chosen("yauth-secret, sheaf").as_deref(), Some("sheaf"));
    assert_eq!(chosen("sheaf.token.YQ, chat, sheaf").as_deref(), Some("chat"));
    assert_eq!(chosen("yauth-secret").as_deref(), Some("yauth-secret"));
    assert_eq!(chosen(" , "), None);
    assert_eq!(chosen_protocol(&HeaderMap::new()), None);
    let header = chosen_protocol(&parts("/", &[(OFFER, "yauth-secret")]).headers);
    assert!(!format!("{header:?}").contains("secret"));
}

#[test]
fn a_hash_is_read_as_it_is_printed() {
    let hash = TokenHash::of("correct horse battery staple");
    let again = TokenHash::try_from(hash.text()).expect("as printed");
    assert_eq!(again.digest(), hash.digest());
    assert_eq!(hash.digest(), Digest::of(b"correct horse battery staple"));
    for wrong in
        ["", "sha256:", "sha256:00", &"0".repeat(71), &format!("sha256:{}", "g".repeat(64))]
    {
        assert!(TokenHash::try_from((*wrong).to_owned()).is_err(), "{wrong}");
    }
}
