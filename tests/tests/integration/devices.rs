//! Devices that follow a vault, and deleted files that are forgotten, against a running server with
//! a clock that is moved by hand. The rules one by one are in `server/src/vault/prune/tests.rs`.

use std::net::SocketAddr;
use std::time::Duration;

use futures::{SinkExt, StreamExt};
use serde_json::{Value, json};
use sheaf_ground::time::{Clock, Hand, Seed};
use sheaf_protocol::control::{
    Acknowledge, Auth, AuthOk, Device, DeviceNews, DeviceState, Form, Reply, Request as Say,
    read_reply, write,
};
use sheaf_server::app::{Ambient, App};
use sheaf_server::config::Config;
use sheaf_tests::eventually::eventually_async;
use sheaf_tests::http::{Answer, Events, Request};
use sheaf_tests::server::Server;
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

const DEADLINE: Duration = Duration::from_secs(30);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const HOUR: Duration = Duration::from_secs(60 * 60);
/// Devices.
const ONE: &str = "0000000000000001";
const TWO: &str = "0000000000000002";
const LOST: &str = "0000000000000003";

/// A server whose clock stands still.
struct Still {
    app: App,
    hand: Hand,
    _data: TempDir,
}

impl Still {
    async fn start() -> Still {
        let data = tempfile::tempdir().expect("a folder for data");
        let (clock, hand) = Clock::test(1_700_000_000_000);
        let config = Config {
            listen: Some(vec![([127, 0, 0, 1], 0).into()]),
            data: Some(data.path().join("data")),
            ..Config::default()
        };
        let app = App::start(config, Ambient { clock, seed: Seed::fixed(1) }).await;
        Still { app: app.expect("it starts"), hand, _data: data }
    }

    fn to(&self) -> SocketAddr {
        *self.app.addresses().first().expect("it listens")
    }

    async fn ask(&self, method: &str, target: &str, device: &str) -> Answer {
        let request = Request::new(method, &format!("/v1/vaults/notes{target}"));
        let request =
            if device.is_empty() { request } else { request.header("Sheaf-Device", device) };
        request.send(self.to()).await
    }

    /// Asks for changes as a device, and gives the cursor behind them.
    async fn follow(&self, device: &str, since: &str) -> Value {
        let answer = self.ask("GET", &format!("/changes?since={since}"), device).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.json()
    }

    /// Deletes a file that was not there; the cursor behind it.
    async fn deleted(&self, path: &str) -> String {
        let file = Request::new("PUT", &format!("/v1/vaults/notes/files/{path}"));
        assert_eq!(file.body("text").send(self.to()).await.status, 201);
        assert_eq!(self.ask("DELETE", &format!("/files/{path}"), "").await.status, 204);
        self.ask("GET", "", "").await.json()["cursor"].as_str().expect("a cursor").to_owned()
    }

    async fn horizon(&self) -> u64 {
        self.ask("GET", "/devices", "").await.json()["horizon"].as_u64().expect("a number")
    }

    /// An hour passes, until the horizon is there.
    async fn pruned(&self, horizon: u64) {
        let looks = || async {
            self.hand.advance(HOUR);
            self.horizon().await == horizon
        };
        eventually_async("deleted files are forgotten", DEADLINE, looks).await;
    }

    async fn states(&self) -> Vec<(String, String, Value)> {
        let devices = self.ask("GET", "/devices", "").await.json();
        let text = |value: &Value| value.as_str().expect("a text").to_owned();
        let devices = devices["devices"].as_array().expect("devices").iter();
        devices.map(|it| (text(&it["id"]), text(&it["state"]), it["acked"].clone())).collect()
    }
}

fn seq(cursor: &str) -> u64 {
    cursor.split_once('.').expect("epoch and seq").1.parse().expect("a number")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deletion_is_forgotten_when_all_that_count_hold_it_and_who_misses_it_is_told() {
    let server = Still::start().await;
    let before = server.deleted("first.md").await;
    for device in [ONE, TWO, LOST] {
        server.follow(device, "0").await;
    }
    let cursor = server.deleted("a.md").await;
    server.follow(ONE, &cursor).await;
    // What was gone when they came goes, what came after stays for those that never said a word.
    server.hand.advance(DAY * 8);
    server.pruned(seq(&before)).await;
    let revoked = Request::new("PATCH", &format!("/v1/vaults/notes/devices/{LOST}"));
    let revoked = revoked.json(&json!({ "revoked": true })).send(server.to()).await;
    assert_eq!((revoked.status, revoked.json()["state"].as_str()), (200, Some("revoked")));
    let refused = server.ask("GET", "/changes", LOST).await;
    assert_eq!((refused.status, refused.code().as_str()), (403, "device_revoked"));
    server.hand.advance(DAY * 15);
    server.follow(ONE, &cursor).await;
    assert_eq!(server.horizon().await, seq(&before), "two counts for where it came");
    server.hand.advance(DAY * 8);
    server.pruned(seq(&cursor)).await;
    let due = [(ONE, "away", json!(seq(&cursor))), (TWO, "stale", Value::Null)];
    let states = server.states().await;
    for ((id, state, acked), found) in due.into_iter().zip(&states) {
        assert_eq!((id, state, &acked), (&*found.0, &*found.1, &found.2));
    }
    // The stale one comes back.
    for accept in ["application/json", "text/event-stream"] {
        let target = format!("/v1/vaults/notes/changes?since={before}&wait=5");
        let asked = Request::new("GET", &target).header("Accept", accept);
        let answer = asked.header("Sheaf-Device", TWO).send(server.to()).await;
        assert_eq!((answer.status, answer.code().as_str()), (410, "cursor_expired"), "{accept}");
        let details = answer.json()["details"].clone();
        assert_eq!(details["horizon"], json!(seq(&cursor)));
        assert_eq!(details["seq"], json!(seq(&cursor)));
    }
    let whole = server.follow(TWO, "0").await;
    assert_eq!((&whole["changes"], &whole["cursor"]), (&json!([]), &json!(cursor)));
    server.follow(TWO, &cursor).await;
    assert_eq!(server.states().await[1].1, "away");
    server.app.stop().await;
}

/// A client of the channel that is a device.
struct Client(WebSocketStream<MaybeTlsStream<TcpStream>>);

impl Client {
    async fn open(server: &Server, device: u64) -> (Client, Result<AuthOk, u16>) {
        let url = format!("{}/v1/vaults/notes/channel", server.url());
        let (socket, _) = connect_async(url).await.expect("it is upgraded");
        let mut client = Client(socket);
        let device = Some(Device(device));
        client.say(&Say::Auth(Auth { device, since: Some(0), ..Auth::default() })).await;
        loop {
            match client.hear().await {
                Ok(Reply::AuthOk(ok)) => return (client, Ok(ok)),
                Ok(_) => {}
                Err(code) => return (client, Err(code)),
            }
        }
    }

    async fn say(&mut self, request: &Say) {
        let text = String::from_utf8(write(request, Form::Json)).expect("JSON is UTF-8");
        self.0.send(Message::text(text)).await.expect("it is sent");
    }

    /// The next message, or the code with which the server closed.
    async fn hear(&mut self) -> Result<Reply, u16> {
        loop {
            let next = timeout(DEADLINE, self.0.next()).await.expect("something comes");
            match next.expect("the socket is there").expect("no broken frame") {
                Message::Text(text) => {
                    return Ok(read_reply(text.as_bytes(), Form::Json).expect("it can be read"));
                }
                Message::Close(close) => return Err(close.map_or(1005, |close| close.code.into())),
                _ => {}
            }
        }
    }

    /// What happens to a device next.
    async fn news(&mut self) -> (u64, DeviceState) {
        loop {
            if let Reply::Device(DeviceNews { device, state }) =
                self.hear().await.expect("it is not closed")
            {
                return (device.0, state);
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_channel_tells_of_devices_acknowledges_and_ends_with_a_revocation() {
    let server = Server::start().await;
    let file = Request::new("PUT", "/v1/vaults/notes/files/a.md").body("text");
    assert_eq!(file.send(server.address()).await.status, 201);
    let (mut first, ok) = Client::open(&server, 1).await;
    let ok = ok.expect("it is let in");
    assert_eq!((ok.device, ok.horizon), (Some(Device(1)), 0));
    let (mut second, _) = Client::open(&server, 2).await;
    assert_eq!(first.news().await, (2, DeviceState::Connected));
    let version = Some(ok.version);
    second.say(&Say::Ack(Acknowledge { version, ..Acknowledge::default() })).await;
    while !matches!(second.hear().await, Ok(Reply::Ack(_))) {}
    let devices = Request::new("GET", "/v1/vaults/notes/devices").send(server.address()).await;
    let devices = devices.json()["devices"].clone();
    assert_eq!((&devices[0]["acked"], &devices[0]["kind"]), (&Value::Null, &json!("channel")));
    assert_eq!(
        (&devices[1]["acked"], &devices[1]["state"]),
        (&json!(version), &json!("connected"))
    );
    let target = |device: &str| format!("/v1/vaults/notes/devices/{device}");
    let stream = Request::new("GET", "/v1/vaults/notes/changes").header("Sheaf-Device", TWO);
    let mut events = Events::open(stream, server.address()).await;
    assert!(events.next().await.is_some());
    let revoke = Request::new("PATCH", &target(TWO)).json(&json!({ "revoked": true }));
    assert_eq!(revoke.send(server.address()).await.status, 200);
    let code = loop {
        match second.hear().await {
            Ok(Reply::Error(problem)) => assert_eq!(problem.code, "DEVICE_REVOKED"),
            Ok(_) => {}
            Err(code) => break code,
        }
    };
    assert_eq!(code, 4403);
    let last = events.next().await.expect("an event that says so");
    assert!(last.name == "error" && last.data.contains("device_revoked"), "{}", last.data);
    assert_eq!(first.news().await, (2, DeviceState::Revoked));
    let (_, again) = Client::open(&server, 2).await;
    assert_eq!(again.err(), Some(4403));
    let (third, _) = Client::open(&server, 3).await;
    assert_eq!(first.news().await, (3, DeviceState::Connected));
    drop(third);
    assert_eq!(first.news().await, (3, DeviceState::Left));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_device_says_which_it_is_in_the_query_too_and_is_one() {
    let server = Still::start().await;
    let cursor = server.deleted("a.md").await;
    let changes = |device: &str| format!("/changes?since={cursor}&device={device}");
    for bad in ["", "2", "00000000000000%302", "000000000000000g"] {
        let answer = server.ask("GET", &changes(bad), TWO).await;
        assert_eq!((answer.status, answer.code().as_str()), (400, "malformed"), "{bad}");
    }
    assert_eq!(server.ask("GET", &changes(LOST), TWO).await.status, 400, "two devices");
    for header in ["", TWO] {
        assert_eq!(server.ask("GET", &changes(TWO), header).await.status, 200);
    }
    let told = server.ask("GET", "/devices", "").await.json();
    let known: Vec<_> = told["devices"].as_array().expect("devices").iter().collect();
    assert_eq!(known.len(), 1, "{told}");
    let seq: u64 = cursor.rsplit('.').next().and_then(|seq| seq.parse().ok()).expect("a seq");
    assert_eq!((&known[0]["id"], &known[0]["acked"]), (&TWO.into(), &seq.into()), "{told}");
}
