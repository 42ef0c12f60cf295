//! What a page in a browser can do to a server on its user's machine or network: nothing that the
//! rule for `Host` and `Origin` does not let it.

use super::*;

const FILE: &str = "/v1/vaults/default/files/a.md";

fn preflight(origin: &str, headers: &str) -> String {
    format!("{HOST}Origin: {origin}\r\nAccess-Control-Request-Method: PUT\r\n{headers}")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rebound_name_reaches_nothing() {
    let server = Server::start(|_, _| {}).await;
    for (method, path) in [("GET", "/"), ("GET", FILE), ("PUT", FILE), ("OPTIONS", FILE)] {
        for headers in ["Host: evil.example\r\n", "Host: localhost\r\nHost: evil.example\r\n", ""] {
            let answer = server.ask(method, path, headers).await;
            let (found, shown) = (status(&answer), format!("{method} {path} {headers:?}"));
            assert!(found == 403 || found == 400, "{shown}: {answer}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cross_site_post_that_needs_no_preflight_changes_nothing() {
    let server = Server::start(|_, _| {}).await;
    for kind in ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data"] {
        for (path, origin) in [
            ("/v1/vaults", "https://evil.example"),
            ("/v1/vaults/default/update/a.md", "https://evil.example"),
            ("/v1/vaults/default/files/a.md?move=b.md", "null"),
        ] {
            let text = format!(
                "POST {path} HTTP/1.1\r\nConnection: close\r\n{HOST}Origin: {origin}\r\n\
                 Content-Type: {kind}\r\nContent-Length: 2\r\n\r\n{{}}"
            );
            let answer = say(server.connect().await, &text).await;
            assert_eq!(status(&answer), 403, "{path} {kind}: {answer}");
            assert_eq!(header(&answer, "access-control-allow-origin"), None);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_socket_is_not_hijacked_across_sites() {
    let server = Server::start(|_, _| {}).await;
    for origin in ["https://evil.example", "null", "http://localhost.evil.example"] {
        let asked = upgrade("/room", &format!("{HOST}Origin: {origin}\r\n"));
        assert_eq!(begin(server.connect().await, &asked).await.0, 403, "{origin}");
    }
    let own = upgrade("/room", &format!("{HOST}Origin: http://localhost:5173\r\n"));
    assert_eq!(begin(server.connect().await, &own).await.0, 101);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_preflight_is_answered_by_the_rule_for_origins() {
    let server = Server::start(|config, _| {
        config.users = vec![ada()];
        config.origins = vec!["https://app.example".to_owned()];
    })
    .await;
    let asks = "Access-Control-Request-Headers: authorization, IF-MATCH, sheaf-unit, x-evil\r\n\
                Access-Control-Request-Private-Network: true\r\n";
    for origin in ["https://app.example", "http://localhost:5173", "http://127.0.0.1"] {
        let answer = server.ask("OPTIONS", FILE, &preflight(origin, asks)).await;
        assert_eq!(status(&answer), 204, "{origin}: {answer}");
        assert_eq!(header(&answer, "access-control-allow-origin"), Some(origin));
        let sent = header(&answer, "access-control-allow-headers");
        assert_eq!(sent, Some("authorization, if-match, sheaf-unit"));
        let methods = header(&answer, "access-control-allow-methods").expect("listed");
        assert!(methods.contains("PATCH"), "{methods}");
        assert_eq!(header(&answer, "access-control-allow-private-network"), Some("true"));
        assert_eq!(header(&answer, "access-control-allow-credentials"), None);
        assert_eq!(header(&answer, "vary"), Some("Origin"));
        assert!(header(&answer, "access-control-max-age").is_some());
    }
    for origin in ["https://evil.example", "null"] {
        let answer = server.ask("OPTIONS", FILE, &preflight(origin, asks)).await;
        assert_eq!(status(&answer), 403, "a list is set: a token changes nothing");
        assert_eq!(header(&answer, "access-control-allow-origin"), None);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_list_a_page_with_a_token_may_come_from_anywhere() {
    let server = Server::start(|config, _| config.users = vec![ada()]).await;
    let asks = "Access-Control-Request-Headers: authorization\r\n";
    let origin = "https://somewhere.example";
    let with = server.ask("OPTIONS", FILE, &preflight(origin, asks)).await;
    assert_eq!(status(&with), 204, "{with}");
    let without = server.ask("OPTIONS", FILE, &preflight(origin, "")).await;
    assert_eq!(status(&without), 403, "{without}");

    let from = |more: &str| format!("{HOST}Origin: {origin}\r\n{more}");
    let seen = server.ask("GET", FILE, &from(&bearer())).await;
    assert_eq!(header(&seen, "access-control-allow-origin"), Some(origin), "{seen}");
    assert!(seen.to_ascii_lowercase().contains("vary: origin"), "{seen}");
    let unseen = server.ask("GET", FILE, &from("")).await;
    assert_eq!(status(&unseen), 403);
    assert_eq!(header(&unseen, "access-control-allow-origin"), None);
    let plain = server.ask("GET", FILE, &(HOST.to_owned() + &bearer())).await;
    assert_eq!(header(&plain, "access-control-allow-origin"), None, "no page asked");
}
