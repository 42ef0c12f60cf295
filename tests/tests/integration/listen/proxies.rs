//! Behind proxies: whose word counts, and for what.

use super::*;

const V2_LOCAL: &[u8] = b"\r\n\r\n\0\r\nQUIT\n\x20\x00\x00\x00";

fn behind(config: &mut Config, _: &Path) {
    config.users = vec![ada()];
    config.trusted_proxies = vec!["127.0.0.0/8".parse().expect("a network")];
    config.limits.connections_per_address_max = 1;
}

fn with_header(config: &mut Config, dir: &Path) {
    behind(config, dir);
    config.listen = Some(vec!["127.0.0.1:0 proxy".parse().expect("an address")]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_proxy_header_says_whose_a_connection_is() {
    let server = Server::start(with_header).await;
    let asked = |line: &str| line.to_owned() + &upgrade("/room", &(HOST.to_owned() + &bearer()));
    let one = "PROXY TCP4 192.0.2.1 127.0.0.1 4711 80\r\n";
    let (first, held) = begin(server.connect().await, &asked(one)).await;
    assert_eq!(first, 101);
    let refused = say(server.connect().await, &asked(one)).await;
    assert_eq!(refused, "", "192.0.2.1 has its share");
    let other = "PROXY TCP4 192.0.2.2 127.0.0.1 4711 80\r\n";
    assert_eq!(begin(server.connect().await, &asked(other)).await.0, 101);
    drop(held);

    let mut health_check = server.connect().await;
    health_check.write_all(V2_LOCAL).await.expect("sent");
    assert_eq!(status(&say(health_check, &request("GET", "/healthz", HOST)).await), 200);
    for wrong in ["", "PROXY TCP4 nobody 127.0.0.1 4711 80\r\n", "PROXY "] {
        let asked = wrong.to_owned() + &request("GET", "/", HOST);
        assert_eq!(say(server.connect().await, &asked).await, "", "{wrong:?} is no way in");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_proxy_header_from_anybody_else_ends_the_connection() {
    let server = Server::start(|config, dir| {
        with_header(config, dir);
        config.trusted_proxies = vec!["192.0.2.0/24".parse().expect("a network")];
    })
    .await;
    let asked = "PROXY TCP4 192.0.2.1 127.0.0.1 4711 80\r\n".to_owned();
    let answer = say(server.connect().await, &(asked + &request("GET", "/", HOST))).await;
    assert_eq!(answer, "");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_proxy_may_not_publish_what_is_open_to_its_machine() {
    let dir = TempDir::new().expect("a folder");
    let open = |config: &mut Config, dir: &Path| {
        with_header(config, dir);
        config.users.clear();
    };
    let error = start(dir.path(), open).await.expect_err("published").to_string();
    assert!(error.contains("--allow-anonymous"), "{error}");
    let trusting = |config: &mut Config, dir: &Path| {
        behind(config, dir);
        config.users.clear();
    };
    let error = start(dir.path(), trusting).await.expect_err("published").to_string();
    assert!(error.contains("trusted_proxies"), "{error}");
    let nobody = |config: &mut Config, dir: &Path| {
        with_header(config, dir);
        config.trusted_proxies.clear();
    };
    let error = start(dir.path(), nobody).await.expect_err("nobody may come").to_string();
    assert!(error.contains("trusted_proxies"), "{error}");
    // Trusted by nobody: what a proxy forwards comes from elsewhere all the same.
    let open = Server::start(|_, _| {}).await;
    let forwarded = format!("{HOST}X-Forwarded-For: 192.0.2.1\r\n");
    assert_eq!(status(&open.ask("GET", "/", &forwarded).await), 403);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_trusted_proxys_headers_say_whose_a_request_is() {
    let server = Server::start(behind).await;
    let from =
        |hops: &str| upgrade("/room", &format!("{HOST}{}X-Forwarded-For: {hops}\r\n", bearer()));
    let (first, _held) = begin(server.connect().await, &from("192.0.2.1")).await;
    assert_eq!(first, 101);
    let forged = from("203.0.113.9, 192.0.2.1");
    let (second, _) = begin(server.connect().await, &forged).await;
    assert_eq!(second, 429, "what the client claims does not count");
    assert_eq!(begin(server.connect().await, &from("192.0.2.2")).await.0, 101);

    let distrusting = Server::start(|config, dir| {
        behind(config, dir);
        config.trusted_proxies.clear();
    })
    .await;
    let (first, _held) = begin(distrusting.connect().await, &from("192.0.2.1")).await;
    let (second, _) = begin(distrusting.connect().await, &from("192.0.2.1")).await;
    assert_eq!((first, second), (101, 101), "nobody's word counts: both are from loopback");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_trusted_proxy_tells_the_host_that_the_client_meant() {
    let known = |config: &mut Config, dir: &Path| {
        behind(config, dir);
        config.hosts = vec!["notes.example".to_owned()];
    };
    let server = Server::start(known).await;
    let headers = |host: &str, forwarded: &str| {
        format!(
            "Host: {host}\r\nX-Forwarded-Host: {forwarded}\r\n\
                 Origin: https://notes.example\r\n"
        )
    };
    let right = headers("127.0.0.1:1234", "notes.example");
    assert_eq!(status(&server.ask("GET", "/healthz", &right).await), 200);
    let rebound = headers("localhost", "evil.example");
    assert_eq!(status(&server.ask("GET", "/healthz", &rebound).await), 403);
    let distrusting = Server::start(|config, dir| {
        known(config, dir);
        config.trusted_proxies.clear();
    })
    .await;
    let forged = headers("evil.example", "notes.example");
    assert_eq!(status(&distrusting.ask("GET", "/healthz", &forged).await), 403);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn links_lead_through_the_proxy_that_is_trusted() {
    let proxied = "X-Forwarded-Proto: https\r\nX-Forwarded-Host: notes.example.org\r\n";
    let asked = |method: &str, path: &str| {
        let body = "Content-Length: 2\r\n";
        request(method, path, &(HOST.to_owned() + &bearer() + proxied + body)) + "{}"
    };
    for (is_trusted, link) in
        [(true, "wss://notes.example.org/d/plan/ws"), (false, "ws://localhost/d/plan/ws")]
    {
        let server = Server::start(|config, dir| {
            behind(config, dir);
            config.trusted_proxies.retain(|_| is_trusted);
        })
        .await;
        let create = asked("POST", "/doc/new").replace("{}", "{\"docId\":\"plan\"}");
        let create = create.replace("Content-Length: 2", "Content-Length: 16");
        let made = say(server.connect().await, &create).await;
        assert_eq!(status(&made), 200, "{made}");
        let told = say(server.connect().await, &asked("POST", "/doc/plan/auth")).await;
        assert!(told.contains(&format!("\"url\":\"{link}\"")), "{told}");
    }
}
