//! Tokens, and the rule for pages from elsewhere, as tables.

use std::net::Ipv4Addr;

use hyper::Request;
use sheaf_protocol::ids::{Principal, VaultName};

use super::*;

const LOCAL: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const SECRET: &str = "0123456789abcdef";

/// The least there is: open, on loopback.
fn on_loopback() -> Config {
    Config { listen: vec![([127, 0, 0, 1], 1234).into()], ..Config::default() }
}

/// Open because somebody said so.
fn anyone() -> Config {
    Config { allow_anonymous: true, ..on_loopback() }
}

fn with_ada() -> Config {
    Config { users: vec![UserConfig::new("ada", SECRET, Role::Read)], ..on_loopback() }
}

fn auth(config: &Config) -> Auth {
    Auth::new(config, &Clock::system()).expect("a configuration that may start")
}

fn start(config: &Config) -> Result<Auth, Error> {
    Auth::new(config, &Clock::system())
}

/// What a token is worth in the vault `default`.
fn worth(auth: &Auth, token: Option<&str>) -> Result<Grant, Refusal> {
    let header = token.map(|token| ("authorization", format!("Bearer {token}")));
    let host = ("host", "localhost".to_owned());
    let headers: Vec<_> = header.iter().chain([&host]).map(|(a, b)| (*a, &**b)).collect();
    let caller = auth.admit(&request("/", &headers), LOCAL).expect("loopback");
    futures::executor::block_on(caller.grant(&VaultName::default(), None, Role::Read))
}

fn request(path: &str, headers: &[(&str, &str)]) -> Parts {
    let mut request = Request::get(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(()).expect("a legal request").into_parts().0
}

fn refused(auth: &Auth, headers: &[(&str, &str)]) -> bool {
    match auth.admit(&request("/room", headers), LOCAL) {
        Ok(_) => false,
        Err(denied) => denied.refusal.code == Code::Forbidden,
    }
}

#[test]
fn without_users_only_loopback_is_served() {
    let elsewhere = Config { listen: vec![([0, 0, 0, 0], 1234).into()], ..Config::default() };
    let error = start(&elsewhere).expect_err("open to the network");
    assert!(error.to_string().contains("--allow-anonymous"), "{error}");
    assert!(start(&Config { allow_anonymous: true, ..elsewhere.clone() }).is_ok());
    assert!(start(&Config { listen: elsewhere.listen, ..with_ada() }).is_ok());
}

#[test]
fn a_token_is_worth_what_is_configured() {
    let auth = auth(&with_ada());
    let ada = Grant { principal: Principal::Named("ada".into()), role: Role::Read };
    assert_eq!(worth(&auth, Some(SECRET)), Ok(ada));
    for wrong in [None, Some(""), Some("0123456789abcdee"), Some("0123456789abcdef0")] {
        assert_eq!(worth(&auth, wrong).expect_err("not ada").code, Code::Unauthorised);
    }
}

#[test]
fn an_open_server_takes_an_unknown_token_for_none() {
    let anonymous = Grant { principal: Principal::Anonymous, role: Role::Admin };
    assert_eq!(worth(&auth(&on_loopback()), Some("anything")), Ok(anonymous.clone()));
    let both = Config { allow_anonymous: true, ..with_ada() };
    let writer = Grant { role: Role::Write, ..anonymous };
    assert_eq!(worth(&auth(&both), None), Ok(writer));
    assert!(auth(&both).is_open());
}

#[test]
fn a_token_comes_in_a_header_or_in_the_query() {
    let auth = auth(&with_ada());
    let is_ada = |path, headers: &[_]| {
        let caller = auth.admit(&request(path, headers), LOCAL).expect("loopback");
        matches!(**caller.credential(), Credential::User { .. })
    };
    let host = ("host", "localhost:1234");
    assert!(is_ada("/room", &[host, ("authorization", "Bearer 0123456789abcdef")]));
    assert!(is_ada("/room?a=b&token=0123456789%61bcdef", &[host]));
    assert!(!is_ada("/room?xtoken=0123456789abcdef", &[host]));
    assert!(!is_ada("/room", &[host, ("authorization", "Basic 0123456789abcdef")]));
}

#[test]
fn a_host_name_that_is_not_ours_is_refused() {
    let auth = auth(&Config { hosts: vec!["Notes.example.org".to_owned()], ..anyone() });
    for ours in [
        "localhost",
        "LOCALHOST:1234",
        "localhost.",
        "demo.localhost:80",
        "127.0.0.1:1234",
        "127.9.9.9",
        "[::1]:1234",
        "[::1]",
        "[::ffff:127.0.0.1]:1",
        "notes.example.org:8080",
    ] {
        assert!(!refused(&auth, &[("host", ours)]), "{ours}");
    }
    for other in [
        "evil.example",
        "127.0.0.1.evil.example",
        "localhost.evil.example",
        "notlocalhost",
        "",
        "10.0.0.1",
        "[fe80::1]",
        "evil.example:1234",
        "notes.example.org.evil.example",
    ] {
        assert!(refused(&auth, &[("host", other)]), "{other}");
    }
    assert!(refused(&auth, &[]), "no host");
    assert!(refused(&auth, &[("host", "localhost"), ("host", "localhost")]), "two hosts");
}

#[test]
fn a_page_from_elsewhere_is_refused() {
    let auth = auth(&Config {
        hosts: vec!["notes.example.org".to_owned()],
        origins: vec!["https://app.example.org".to_owned()],
        ..anyone()
    });
    let from = |origin| refused(&auth, &[("host", "notes.example.org"), ("origin", origin)]);
    for known in [
        "https://notes.example.org",
        "http://localhost:5173",
        "http://127.0.0.1",
        "http://[::1]:9",
        "https://app.example.org",
        "HTTPS://App.example.org",
    ] {
        assert!(!from(known), "{known}");
    }
    for unknown in [
        "https://evil.example",
        "null",
        "",
        "https://app.example.org.evil.example",
        "http://app.example.org",
        "https://notes.example.org:444",
        "https://localhost.evil.example",
        "file://",
        "localhost",
    ] {
        assert!(from(unknown), "{unknown}");
    }
}

#[test]
fn with_a_valid_token_any_page_may_come_unless_some_are_listed() {
    let headers = [
        ("host", "anything.example"),
        ("origin", "https://elsewhere.example"),
        ("authorization", "Bearer 0123456789abcdef"),
    ];
    assert!(!refused(&auth(&with_ada()), &headers));
    let listed = Config { origins: vec!["https://app.example".to_owned()], ..with_ada() };
    assert!(refused(&auth(&listed), &headers));
    let mut wrong = headers;
    wrong[2].1 = "Bearer 0123456789abcdee";
    assert!(refused(&auth(&with_ada()), &wrong), "an invalid token opens nothing");
    assert!(refused(&auth(&on_loopback()), &headers), "nor does one on an open server");
}

#[test]
fn a_server_that_is_open_on_loopback_refuses_proxies() {
    let host = ("host", "localhost");
    for name in ["forwarded", "x-forwarded-for", "X-Forwarded-Host", "x-forwarded-proto"] {
        assert!(refused(&auth(&on_loopback()), &[host, (name, "x")]), "{name}");
        assert!(!refused(&auth(&with_ada()), &[host, (name, "x")]), "{name}");
        let allowed = Config { allow_anonymous: true, ..on_loopback() };
        assert!(!refused(&auth(&allowed), &[host, (name, "x")]), "{name}");
    }
}

#[test]
fn users_must_be_told_apart() {
    let try_two = |name, token| {
        let ada = UserConfig::new("ada", SECRET, Role::Read);
        start(&Config {
            users: vec![ada, UserConfig::new(name, token, Role::Write)],
            ..on_loopback()
        })
    };
    assert!(matches!(try_two("ada", "another secret token"), Err(Error::Twice { .. })));
    assert!(matches!(try_two("bob", SECRET), Err(Error::Twice { .. })));
    assert!(matches!(try_two("bob", "short"), Err(Error::ShortToken { .. })));
    assert!(try_two("bob", "another secret token").is_ok());
}

#[test]
fn a_token_is_never_shown() {
    let config = with_ada();
    let auth = auth(&config);
    assert!(!format!("{config:?} {auth:?}").contains(SECRET));
    let role = serde_json::to_string(&config.users).expect("plain data");
    assert!(!role.contains(SECRET), "{role}");
}

#[test]
fn an_origin_with_a_path_is_no_origin() {
    for origin in ["https://app.example/", "app.example", "null"] {
        let config = Config { origins: vec![origin.to_owned()], ..on_loopback() };
        assert!(matches!(start(&config), Err(Error::BadOrigin(_))), "{origin}");
    }
}

#[test]
fn a_token_that_somebody_else_knows_opens_no_page_that_nobody_asks_about() {
    let callback =
        CallbackConfig { url: "http://127.0.0.1:9/".to_owned(), ..CallbackConfig::default() };
    let auth = auth(&Config { callback: Some(callback), ..on_loopback() });
    let token = ("authorization", "Bearer whatever it is worth");
    let admit = |path, headers: &[_]| auth.admit(&request(path, headers), LOCAL).map(drop);
    let elsewhere = [("host", "evil.example"), ("origin", "http://evil.example"), token];
    assert!(admit("/metrics", &elsewhere).is_err());
    assert!(admit("/", &elsewhere).is_err());
    assert!(admit("/v1/vaults", &elsewhere).is_err());
    assert!(admit("/v1/vaults/a/files", &elsewhere).is_ok());
    let upgrade = [elsewhere[0], elsewhere[1], token, ("upgrade", "websocket")];
    assert!(admit("/room", &upgrade).is_ok());
    assert!(admit("/metrics", &[("host", "localhost"), token]).is_ok());
}

/// A server that takes ten wrong tokens from an address, and what it says to one more token.
fn few_failures() -> impl Fn(&str, [u8; 4]) -> Result<(), Denied> {
    let rates = Rates { failures_per_address_per_min: 1, ..Rates::default() };
    let auth = auth(&Config { rates, ..with_ada() });
    move |token, address| {
        let value = format!("Bearer {token}");
        let headers = [("host", "localhost"), ("authorization", &*value)];
        auth.admit(&request("/", &headers), IpAddr::from(address)).map(drop)
    }
}

#[test]
fn wrong_tokens_from_one_address_are_slowed_down() {
    let from = few_failures();
    let far = [192, 0, 2, 1];
    for n in 0..10 {
        assert_eq!(from(&format!("wrong {n}"), far), Ok(()), "what it is worth is told later");
    }
    let denied = from("another", far).expect_err("too many");
    assert_eq!(denied.refusal.code, Code::TooMany);
    assert!(denied.retry_after.is_some());
    assert_eq!(from(SECRET, far), Ok(()), "a right one passes");
    assert_eq!(from("another", [192, 0, 2, 2]), Ok(()), "another address");
    assert_eq!(from("another", [127, 0, 0, 1]), Ok(()), "loopback");
}

#[test]
fn two_stale_tabs_do_not_lock_their_office_out() {
    let from = few_failures();
    let office = [192, 0, 2, 1];
    for _ in 0..100 {
        assert_eq!((from("stale one", office), from("stale two", office)), (Ok(()), Ok(())));
    }
    assert_eq!(from(SECRET, office), Ok(()));
    assert_eq!(from("a typing error", office), Ok(()), "there is room for others' mistakes");
}

#[test]
fn requests_are_counted_by_address_and_by_user() {
    let rates = Rates { requests_per_address_per_s: 1, ..Rates::default() };
    let by_address = auth(&Config { rates, ..with_ada() });
    let rates = Rates { requests_per_user_per_s: 1, ..Rates::default() };
    let by_user = auth(&Config { rates, ..with_ada() });
    let value = format!("Bearer {SECRET}");
    let headers = [("host", "localhost"), ("authorization", &*value)];
    let admitted = |auth: &Auth, address: [u8; 4], headers: &[_]| {
        let admit = |_: &u8| auth.admit(&request("/", headers), IpAddr::from(address)).is_ok();
        (0..30).filter(admit).count()
    };
    assert!((10..30).contains(&admitted(&by_address, [192, 0, 2, 1], &headers[..1])));
    assert_eq!(admitted(&by_address, [127, 0, 0, 1], &headers), 30);
    assert!((10..30).contains(&admitted(&by_user, [127, 0, 0, 1], &headers)));
    assert_eq!(admitted(&by_user, [127, 0, 0, 1], &headers[..1]), 30, "without a token");
}

#[test]
fn the_same_words_for_whoever_may_not_whatever_there_is() {
    let mut config = with_ada();
    config.users[0].vaults = serde_json::from_str(r#"["mine"]"#).expect("vaults");
    let auth = auth(&config);
    let value = format!("Bearer {SECRET}");
    let headers = [("host", "localhost"), ("authorization", &*value)];
    let caller = auth.admit(&request("/", &headers), LOCAL).expect("admitted");
    let refused = |vault: &str, path: Option<&str>, least| {
        let vault = vault.parse().expect("a name");
        let grant = caller.grant(&vault, path, least);
        futures::executor::block_on(grant).expect_err("not allowed")
    };
    let words = refused("other", None, Role::Read);
    assert_eq!(words.code, Code::Forbidden);
    assert_eq!(refused("other", Some("a"), Role::Read), words);
    let writing = refused("mine", Some("a"), Role::Write);
    assert_eq!(writing.code, Code::ReadOnly, "who may read is told so");
    assert_eq!(refused("mine", None, Role::Write), writing);
    assert_eq!(refused("other", Some("a"), Role::Write), words);
    assert_eq!(refused("mine", None, Role::Admin), words);
    let admin = futures::executor::block_on(caller.server_admin());
    assert_eq!(admin.expect_err("a reader"), words);
}

#[test]
fn a_reload_never_opens_a_server_that_was_closed() {
    let elsewhere = Config { listen: vec![([0, 0, 0, 0], 1234).into()], ..with_ada() };
    for started in [elsewhere, with_ada()] {
        let auth = auth(&started);
        for emptied in [on_loopback(), Config::default()] {
            assert!(auth.replace(&emptied).is_err());
            assert!(!auth.is_open());
            assert_eq!(worth(&auth, None).expect_err("closed").code, Code::Unauthorised);
            assert!(worth(&auth, Some(SECRET)).is_ok(), "the old rules stay");
        }
    }
    let auth = auth(&with_ada());
    let error = auth.replace(&on_loopback()).expect_err("no users");
    assert!(error.to_string().contains("restart"), "{error}");
    let everybody = Config { allow_anonymous: true, ..on_loopback() };
    auth.replace(&everybody).expect("said in so many words");
    assert!(auth.replace(&on_loopback()).is_err(), "writers do not become administrators");
}

#[test]
fn a_reload_that_allows_everybody_looks_at_the_admin_listener_that_was_bound() {
    let admin_elsewhere = Some(([0, 0, 0, 0], 9464).into());
    let auth = auth(&Config { admin_elsewhere, ..with_ada() });
    let everybody = Config { allow_anonymous: true, ..with_ada() };
    assert!(matches!(auth.replace(&everybody), Err(Error::AdminElsewhere(_))));
    assert!(!auth.is_open());
}

#[test]
fn an_open_server_stays_open_over_a_reload() {
    let auth = auth(&on_loopback());
    auth.replace(&on_loopback()).expect("as before");
    assert!(auth.is_open());
    let elsewhere = Config { listen: vec![([0, 0, 0, 0], 1234).into()], ..Config::default() };
    assert!(matches!(auth.replace(&elsewhere), Err(Error::OpenElsewhere(_))));
}

#[test]
fn a_server_that_is_set_up_for_a_proxy_does_not_start_open() {
    let named = Config { hosts: vec!["notes.example.org".to_owned()], ..on_loopback() };
    let proxied = Config { has_proxies: true, ..on_loopback() };
    for published in [named, proxied] {
        let error = start(&published).expect_err("open to whoever comes through the proxy");
        assert!(error.to_string().contains("[[users]]"), "{error}");
        assert!(start(&Config { allow_anonymous: true, ..published.clone() }).is_ok());
        assert!(start(&Config { users: with_ada().users, ..published }).is_ok());
    }
}

#[test]
fn a_page_from_elsewhere_is_nobody_until_it_shows_a_token() {
    let everybody = Config { allow_anonymous: true, ..with_ada() };
    let elsewhere = [("host", "notes.example.org"), ("origin", "https://evil.example")];
    let later = |config: &Config, headers: &[_]| {
        auth(config).admit_showing_later(&request("/", headers), LOCAL)
    };
    let worth = |caller: Result<Caller, Refusal>| {
        let vault = VaultName::default();
        let grant = caller.and_then(|caller| {
            futures::executor::block_on(caller.grant(&vault, Some("plan"), Role::Read))
        });
        grant.map(|grant| grant.principal).map_err(|refusal| refusal.code)
    };
    for config in [with_ada(), everybody.clone()] {
        let nobody = later(&config, &elsewhere).expect("a socket");
        for token in ["", "worthless", "0123456789abcdee"] {
            assert_eq!(worth(nobody.showing(token)), Err(Code::Unauthorised), "{token:?}");
        }
        let again = nobody.showing("worthless").and_then(|caller| caller.showing("other"));
        assert_eq!(worth(again), Err(Code::Unauthorised), "worthless twice");
        let ada = Principal::Named("ada".into());
        assert_eq!(worth(nobody.showing(SECRET)), Ok(ada));
        assert!(auth(&config).admit(&request("/room", &elsewhere), LOCAL).is_err());
    }
    let here = later(&everybody, &[("host", "localhost")]).expect("as ever");
    assert_eq!(worth(here.showing("worthless")), Ok(Principal::Anonymous));
    let listed = Config { origins: vec!["https://app.example".to_owned()], ..with_ada() };
    for config in [listed, on_loopback(), anyone()] {
        let denied = later(&config, &elsewhere).expect_err("no token would help");
        assert_eq!(denied.refusal.code, Code::Forbidden);
    }
    let bad = [elsewhere[0], elsewhere[1], ("authorization", "Bearer 0123456789abcdee")];
    assert!(later(&with_ada(), &bad).is_err(), "a wrong token is no lack of one");
}
