//! Paths and handshakes as tables; the socket itself is tested with `listen`.

use std::net::IpAddr;

use prometheus_client::metrics::counter::Counter;

use super::*;
use crate::relay::listen::Kind;

/// The key and answer of RFC 6455 §1.3.
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
const ANSWER: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

/// Without other paths for Hocuspocus.
fn target_of(path: &str) -> Result<Target, Refusal> {
    super::target_of(path, &[])
}

fn handshake_request(changes: &[(&str, Option<&str>)]) -> Request<()> {
    let mut request = Request::get("/room").body(()).expect("a legal request");
    let usual = [
        ("host", "localhost"),
        ("upgrade", "WebSocket"),
        ("connection", "keep-alive, Upgrade"),
        ("sec-websocket-version", VERSION),
        ("sec-websocket-key", KEY),
    ];
    let usual = usual.map(|(name, value)| (name, Some(value)));
    for (name, value) in usual.iter().chain(changes) {
        let name = HeaderName::from_bytes(name.as_bytes()).expect("a legal name");
        match value {
            Some(value) => {
                let value = HeaderValue::from_str(value).expect("a legal value");
                request.headers_mut().insert(name, value);
            }
            None => drop(request.headers_mut().remove(name)),
        }
    }
    request
}

#[test]
fn a_path_names_a_vault_and_a_document() {
    let long = "x".repeat(1024);
    for (path, vault, document) in [
        ("/room", "default", "room"),
        ("/a/b/c.md", "default", "a/b/c.md"),
        ("/healthz", "default", "healthz"),
        ("/v1", "default", "v1"),
        ("/v1x/y", "default", "v1x/y"),
        ("/d/a/ws", "default", "d/a/ws"),
        ("/d/a/ws/a/", "default", "d/a/ws/a/"),
        ("/d/a/as-update", "default", "d/a/as-update"),
        ("/d%2Fa/ws/a", "default", "d/a/ws/a"),
        ("/doc/new", "default", "doc/new"),
        ("/doc/ws/a/b", "default", "doc/ws/a/b"),
        ("//double//", "default", "/double//"),
        ("/na%C3%AFve%20%2F%3F", "default", "naïve /?"),
        ("/100%", "default", "100%"),
        (&format!("/{long}"), "default", &long),
        ("/v1/vaults/team/docs/plan", "team", "plan"),
        ("/v1/vaults/team/docs/docs/a%2fb", "team", "docs/a/b"),
        ("/v1/vaults/t%65am/docs/v1/x", "team", "v1/x"),
    ] {
        let found = target_of(path).expect(path);
        let document = Some((Family::YWebsocket, document.to_owned()));
        assert_eq!((found.vault.as_str(), found.document), (vault, document), "{path}");
    }
}

#[test]
fn a_path_that_is_no_document_is_refused() {
    let long = format!("/{}", "x".repeat(1025));
    for (path, code) in [
        ("/v1/", Code::NotFound),
        ("/v1/anything", Code::NotFound),
        ("/%761/anything", Code::NotFound),
        ("/v1%2Fvaults/team/docs/x", Code::NotFound),
        ("/v1/vaults/team/docs", Code::NotFound),
        ("/v1/vaults/team/docs/", Code::NotFound),
        ("/v1/vaults//docs/x", Code::NotFound),
        ("/v1/vaults/../docs/x", Code::NotFound),
        ("/v1/vaults/a%2Fb/docs/x", Code::NotFound),
        ("/v1/vaults/team/files/x", Code::NotFound),
        ("/%FF", Code::Malformed),
        ("/d/a/ws/b", Code::Malformed),
        ("/d/a/ws/", Code::Malformed),
        ("/d//ws/", Code::Malformed),
        ("/d/a.b/ws/a.b", Code::Malformed),
        ("/d/a%2Fb/ws/a%2Fb", Code::Malformed),
        ("/doc/ws/a%00", Code::Malformed),
        ("/doc/ws/%FF", Code::Malformed),
        (&long, Code::TooLarge),
    ] {
        let refusal = target_of(path).expect_err(path);
        assert_eq!(refusal.code, code, "{path}");
    }
}

#[test]
fn the_paths_of_y_sweet_name_documents_of_the_default_vault() {
    for path in ["/d/a-B_1/ws/a-B_1", "/doc/ws/a-B_1", "/d/%61-B_1/ws/%61-B_1"] {
        let document = Some((Family::YSweet, "a-B_1".to_owned()));
        let wanted = Target { vault: VaultName::default(), document };
        assert_eq!(target_of(path), Ok(wanted), "{path}");
    }
}

#[test]
fn the_paths_of_hocuspocus_name_a_vault() {
    for (path, vault) in [
        ("/", "default"),
        ("", "default"),
        ("/v1/vaults/team/hocuspocus", "team"),
        ("/v1/vaults/t%65am/hocuspocus", "team"),
    ] {
        let wanted = Target { vault: vault.parse().expect("a name"), document: None };
        assert_eq!(target_of(path), Ok(wanted), "{path}");
    }
    for path in ["/v1/vaults/team/hocuspocus/", "/v1/vaults//hocuspocus", "/v1/vaults/hocuspocus"] {
        assert_eq!(target_of(path).expect_err(path).code, Code::NotFound, "{path}");
    }
    let room = target_of("/hocuspocus").expect("a room like any other");
    assert_eq!(room.document, Some((Family::YWebsocket, "hocuspocus".to_owned())));
}

#[test]
fn a_configured_path_is_of_hocuspocus_and_the_room_of_its_name_elsewhere() {
    let others = ["/collaboration", "/sync/hp/"].map(|path| path.parse().expect("a path"));
    let found = |path| super::target_of(path, &others).expect(path);
    for path in ["/collaboration", "/collaboration/", "/coll%61boration", "/sync/hp", "/sync/hp/"] {
        let wanted = Target { vault: VaultName::default(), document: None };
        assert_eq!(found(path), wanted, "{path}");
    }
    for (path, room) in [
        ("/v1/vaults/default/docs/collaboration", "collaboration"),
        ("/collaboration/plan", "collaboration/plan"),
        ("/collaborations", "collaborations"),
        ("/sync", "sync"),
    ] {
        let document = Some((Family::YWebsocket, room.to_owned()));
        assert_eq!(found(path).document, document, "{path}");
    }
    assert_eq!(String::from(others[1].clone()), "/sync/hp");
}

#[test]
fn a_path_in_use_is_none_to_configure() {
    for path in [
        "",
        "/",
        "//",
        "collaboration",
        "ws://host/collaboration",
        "/v1/vaults/team/hocuspocus",
        "/v1/vaults/team/docs/plan",
        "/d/plan/ws/plan",
        "/d/plan/ws/other",
        "/doc/ws/plan",
        "/a?b",
        "/%FF",
    ] {
        assert!(path.parse::<OtherPath>().is_err(), "{path}");
    }
}

#[test]
fn the_handshake_of_the_rfc_is_answered() {
    let response = handshake(&handshake_request(&[])).expect("legal").expect("version 13");
    assert_eq!(response.status(), StatusCode::SWITCHING_PROTOCOLS);
    assert_eq!(response.headers()[header::SEC_WEBSOCKET_ACCEPT], ANSWER);
    assert!(!response.headers().contains_key(header::SEC_WEBSOCKET_EXTENSIONS));
}

#[test]
fn a_broken_handshake_is_malformed() {
    for change in [
        ("connection", Some("keep-alive")),
        ("connection", None),
        ("sec-websocket-key", None),
        ("sec-websocket-key", Some("c2hvcnQ=")),
        ("sec-websocket-key", Some("not base64 at all!!!!!!!")),
    ] {
        let refusal = handshake(&handshake_request(&[change])).expect_err(change.0);
        assert_eq!(refusal.code, Code::Malformed, "{change:?}");
    }
    let mut post = handshake_request(&[]);
    *post.method_mut() = Method::POST;
    assert!(handshake(&post).is_err());
    let mut old = handshake_request(&[]);
    *old.version_mut() = Version::HTTP_10;
    assert!(handshake(&old).is_err());
}

#[test]
fn another_version_is_told_ours() {
    for version in [None, Some("8"), Some("14")] {
        let request = handshake_request(&[("sec-websocket-version", version)]);
        assert!(handshake(&request).expect("not malformed").is_none());
    }
    let response = other_version();
    assert_eq!(response.status(), StatusCode::UPGRADE_REQUIRED);
    assert_eq!(response.headers()[header::SEC_WEBSOCKET_VERSION], VERSION);
}

#[test]
fn the_first_subprotocol_is_taken_and_none_without_an_offer() {
    let offer = |value| {
        let request = handshake_request(&[("sec-websocket-protocol", value)]);
        token::chosen_protocol(request.headers())
    };
    assert_eq!(offer(None), None);
    assert_eq!(offer(Some(" ")), None);
    assert_eq!(offer(Some("chat, superchat")), Some(HeaderValue::from_static("chat")));
}

#[tokio::test]
async fn a_connection_over_the_caps_gets_no_session() {
    let accept: Accept = Arc::new(|_| panic!("nothing may be accepted"));
    let upgrade = Upgrade::new(accept, Group::new(Counter::default()), Vec::new());
    let mut request = handshake_request(&[]);
    request.extensions_mut().insert(Peer {
        address: None,
        client: IpAddr::from([127, 0, 0, 1]),
        is_shared: false,
        listener: Kind::Public,
        is_tls: false,
        permit: None,
    });
    request.extensions_mut().insert(Caller::anyone());
    let refusal = upgrade.answer(&mut request).await.expect_err("no permit");
    assert_eq!(refusal.code, Code::TryLater);
    assert_eq!(refusal.code.http_status(), 503);
}

#[test]
fn a_channel_is_of_the_vault_in_its_path_or_of_none_yet() {
    let name = |path| channel_of(path).map(|vault| vault.map(|it| it.map(|it| it.to_string())));
    assert_eq!(name("/v1/ws"), Some(Ok(None)));
    assert_eq!(name("/v1/vaults/t%65am/channel"), Some(Ok(Some("team".to_owned()))));
    let refused = name("/v1/vaults/a%2Fb/channel").map(|it| it.map_err(|refusal| refusal.code));
    assert_eq!(refused, Some(Err(Code::NotFound)));
    for path in ["/v1/ws/", "/ws", "/v1/vaults/a/b/channel", "/v1/vaults/team/channels", "/x/v1/ws"]
    {
        assert_eq!(name(path), None, "{path}");
    }
}

#[test]
fn of_the_versions_offered_ours_is_chosen() {
    let chosen = |offers: &str| {
        let request = handshake_request(&[("sec-websocket-protocol", Some(offers))]);
        chosen_version(request.headers()).map_err(|refusal| refusal.code)
    };
    assert_eq!(chosen("sheaf.v1"), Ok(Some("sheaf.v1")));
    assert_eq!(chosen("sheaf.v2, sheaf.v1"), Ok(Some("sheaf.v1")));
    assert_eq!(chosen("sheaf.token.YWJj, sheaf.v1"), Ok(Some("sheaf.v1")));
    assert_eq!(chosen("sheaf.v2"), Err(Code::ProtocolVersion));
    assert_eq!(chosen("sheaf.token.YWJj"), Ok(None));
    assert_eq!(chosen("graphql-ws"), Ok(None));
    assert_eq!(chosen_version(handshake_request(&[]).headers()), Ok(None));
}
