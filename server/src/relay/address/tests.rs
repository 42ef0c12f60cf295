//! Addresses and proxies as people write them.

use super::*;

#[test]
fn an_address_is_read_and_written_the_same() {
    for text in [
        "127.0.0.1:1234",
        "[::1]:0",
        "0.0.0.0:443 tls",
        "127.0.0.1:1234 plain proxy",
        "unix:/run/sheaf/sheaf.sock",
        "unix:relative.sock proxy",
    ] {
        let address: Address = text.parse().expect(text);
        assert_eq!(address.to_string(), text);
    }
    for text in ["", "1234", "localhost:1234", "unix:", "127.0.0.1:1234 fast", "[::1]:1 tls plain"]
    {
        let error = text.parse::<Address>().expect_err(text).to_string();
        assert!(error.contains("127.0.0.1:1234"), "{error}");
    }
}

#[test]
fn only_other_machines_are_elsewhere() {
    let is_elsewhere = |text: &str| text.parse::<Address>().expect("an address").is_elsewhere();
    assert!(is_elsewhere("0.0.0.0:1") && is_elsewhere("[::]:1") && is_elsewhere("192.0.2.1:1"));
    assert!(!is_elsewhere("127.9.9.9:1") && !is_elsewhere("[::1]:1") && !is_elsewhere("unix:a"));
    assert!(!is_elsewhere("[::ffff:127.0.0.1]:1"));
}

#[test]
fn a_proxy_is_a_network_an_address_or_a_unix_socket() {
    let proxies = ["10.0.0.0/8", "2001:db8::7", "unix"].map(|it| it.parse().expect("a proxy"));
    let ip = |text: &str| Some(text.parse().expect("an address"));
    for address in [ip("10.255.0.1"), ip("::ffff:10.0.0.1"), ip("2001:db8::7"), None] {
        assert!(is_trusted(&proxies, address), "{address:?}");
    }
    for address in [ip("11.0.0.1"), ip("2001:db8::8"), ip("127.0.0.1")] {
        assert!(!is_trusted(&proxies, address), "{address:?}");
    }
    assert!(!is_trusted(&proxies[..2], None));
    for text in ["", "10.0.0.0/33", "proxy.example", "unix:/run/x"] {
        assert!(text.parse::<Proxy>().is_err(), "{text}");
    }
}

#[test]
fn permissions_are_octal() {
    let mode = |text: &str| UnixMode::try_from(text.to_owned()).map(|mode| mode.0);
    assert_eq!(mode("0660"), Ok(0o660));
    assert_eq!(mode("777"), Ok(0o777));
    assert!(mode("0o660").is_err() && mode("880").is_err() && mode("7777").is_err());
    assert_eq!(String::from(UnixMode::default()), "0660");
}
