//! Chains of proxies, honest and forged.

use super::*;

fn told(lines: &[(&'static str, &str)]) -> Forwarded {
    let mut headers = HeaderMap::new();
    for (name, value) in lines {
        headers.append(*name, HeaderValue::from_str(value).expect("legal"));
    }
    // Ten-dot addresses are proxies.
    Forwarded::of(&headers, |address| matches!(address, IpAddr::V4(it) if it.octets()[0] == 10))
}

fn client(lines: &[(&'static str, &str)]) -> Option<String> {
    told(lines).client.map(|client| client.to_string())
}

#[test]
fn the_client_is_the_nearest_hop_that_is_no_proxy() {
    for (value, found) in [
        ("192.0.2.1", Some("192.0.2.1")),
        ("203.0.113.9, 192.0.2.1", Some("192.0.2.1")),
        ("203.0.113.9, 192.0.2.1, 10.0.0.2, 10.0.0.3", Some("192.0.2.1")),
        ("10.0.0.1, 10.0.0.2", Some("10.0.0.1")),
        ("192.0.2.1:4711", Some("192.0.2.1")),
        ("[2001:db8::1]:4711, 10.0.0.1", Some("2001:db8::1")),
        ("2001:db8::1", Some("2001:db8::1")),
        ("::ffff:192.0.2.1", Some("192.0.2.1")),
        ("192.0.2.1, unknown", None),
        ("192.0.2.1, unknown, 10.0.0.1", None),
        ("", None),
    ] {
        assert_eq!(client(&[("x-forwarded-for", value)]).as_deref(), found, "{value}");
    }
    let split = [("x-forwarded-for", "203.0.113.9"), ("x-forwarded-for", "192.0.2.1")];
    assert_eq!(client(&split).as_deref(), Some("192.0.2.1"), "lines are one list");
    let endless = "10.0.0.1, ".repeat(1_000) + "10.0.0.1";
    assert_eq!(client(&[("x-forwarded-for", &endless)]).as_deref(), Some("10.0.0.1"));
}

#[test]
fn the_standard_header_is_read_too() {
    let line = "for=192.0.2.43;proto=http, for=\"[2001:db8:cafe::17]:4711\";proto=https;host=a.b";
    let found = told(&[("forwarded", line)]);
    assert_eq!(found.client, "2001:db8:cafe::17".parse().ok());
    assert_eq!((found.host.as_deref(), found.is_tls), (Some("a.b"), Some(true)));
    assert_eq!(client(&[("forwarded", "for=_hidden, for=10.0.0.1")]), None);
}

#[test]
fn of_host_and_protocol_the_last_value_counts() {
    let lines = [("x-forwarded-host", "evil.example, a.b"), ("x-forwarded-proto", "http, https")];
    let found = told(&lines);
    assert_eq!((found.host.as_deref(), found.is_tls), (Some("a.b"), Some(true)));
    assert_eq!(told(&[]), Forwarded::default());
}

#[test]
fn one_kind_of_header_silences_the_other() {
    let forged = ("forwarded", "for=203.0.113.9;host=evil.example;proto=https");
    let found = told(&[forged, ("x-forwarded-for", "192.0.2.1")]);
    assert_eq!(found.client, "192.0.2.1".parse().ok());
    assert_eq!((found.host, found.is_tls), (None, None), "a client's own, passed on");
}
