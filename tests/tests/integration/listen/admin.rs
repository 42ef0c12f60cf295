//! A listener of the operator's own.

use super::*;

const OPERATORS: [&str; 3] = ["/metrics", "/healthz", "/readyz"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_a_listener_of_their_own_the_operators_routes_leave_the_public_ones() {
    let shared = Server::start(|_, _| {}).await;
    let apart = Server::start(|config, _| {
        config.admin_listen = Some(vec![([127, 0, 0, 1], 0).into()]);
    })
    .await;
    for path in OPERATORS {
        assert_eq!(status(&shared.ask("GET", path, HOST).await), 200, "{path}");
        assert_eq!(status(&apart.ask("GET", path, HOST).await), 404, "{path}");
        let admin = TcpStream::connect(apart.admin()).await.expect("it listens");
        assert_eq!(status(&say(admin, &request("GET", path, HOST)).await), 200, "{path}");
    }
    for asked in [request("GET", "/", HOST), request("GET", "/v1/vaults/default/files", HOST)] {
        let admin = TcpStream::connect(apart.admin()).await.expect("it listens");
        let answer = say(admin, &asked).await;
        assert_eq!(status(&answer), 404, "neither page nor file is served there: {answer}");
    }
    let admin = TcpStream::connect(apart.admin()).await.expect("it listens");
    assert_eq!(begin(admin, &upgrade("/room", HOST)).await.0, 404, "no socket either");
    let admin = TcpStream::connect(apart.admin()).await.expect("it listens");
    let rebound = request("GET", "/metrics", "Host: evil.example\r\n");
    assert_eq!(status(&say(admin, &rebound).await), 403, "the same rule for hosts");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_stays_on_its_machine_unless_a_token_is_needed() {
    let try_start = async |change: fn(&mut Config)| {
        let dir = TempDir::new().expect("a folder");
        let elsewhere = |config: &mut Config, _: &Path| {
            config.admin_listen = Some(vec![([0, 0, 0, 0], 0).into()]);
            change(config);
        };
        start(dir.path(), elsewhere).await.map(drop).map_err(|error| error.to_string())
    };
    let error = try_start(|_| {}).await.expect_err("open");
    assert!(error.contains("0.0.0.0:0"), "{error}");
    let error = try_start(|config| config.allow_anonymous = true).await.expect_err("open");
    assert!(error.contains("admin_listen"), "{error}");
    try_start(|config| config.users = vec![ada()]).await.expect("a token is needed");
}
