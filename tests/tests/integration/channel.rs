//! The vault channel against a running server: many readers, a slow one, a stop. What one client
//! and one file need is in `tests/interop/channel.test.mjs`.

use std::net::SocketAddr;
use std::time::Duration;

use futures::{SinkExt, StreamExt};
use sheaf_protocol::control::{
    Ack, Auth, Batch, Content, Delete, Device, Download, FileContent, Form, GetChanges, Move,
    Operation, OperationKind, Problem, Push, PushMode, PushResult, Re, Reply, Request, Touched,
    Updated, Upload, View, read_reply, write,
};
use sheaf_tests::http;
use sheaf_tests::server::Server;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

const DEADLINE: Duration = Duration::from_secs(60);

/// A client of the channel.
struct Client {
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    form: Form,
}

impl Client {
    async fn open(server: &Server, form: Form, since: Option<u64>) -> Client {
        let url = format!("{}/v1/vaults/team/channel", server.url());
        let (socket, _) = connect_async(url).await.expect("it is upgraded");
        let mut client = Client { socket, form };
        client.say(&Request::Auth(Auth { since, ..Auth::default() })).await;
        assert!(matches!(client.hear().await, Ok(Reply::AuthOk(_))));
        client
    }

    async fn say(&mut self, request: &Request) {
        let message = write(request, self.form);
        let message = match self.form {
            Form::Json => Message::text(String::from_utf8(message).expect("JSON is UTF-8")),
            Form::MessagePack => Message::binary(message),
        };
        self.socket.send(message).await.expect("it is sent");
    }

    /// The next message, or the code with which the server closed.
    async fn hear(&mut self) -> Result<Reply, u16> {
        loop {
            let next = timeout(DEADLINE, self.socket.next()).await.expect("something comes");
            match next.expect("the socket is there").expect("no broken frame") {
                Message::Text(text) => return Ok(read(text.as_bytes(), Form::Json)),
                Message::Binary(bytes) => return Ok(read(&bytes, Form::MessagePack)),
                Message::Close(close) => return Err(close.map_or(1005, |close| close.code.into())),
                _ => {}
            }
        }
    }

    /// The next message for which `wanted` gives something; others are passed over.
    async fn hear_of<T>(&mut self, wanted: impl Fn(Reply) -> Option<T>) -> T {
        loop {
            if let Some(found) = wanted(self.hear().await.expect("it is not closed")) {
                return found;
            }
        }
    }

    async fn push(&mut self, items: Vec<Operation>) {
        let count = items.len();
        assert_eq!(self.push_as(PushMode::Independent, items).await.success.len(), count);
    }

    async fn push_as(&mut self, mode: PushMode, items: Vec<Operation>) -> PushResult {
        self.say(&Request::Push(Push { re: None, items: Batch::of(items), mode })).await;
        self.hear_of(|reply| match reply {
            Reply::PushResult(result) => Some(result),
            _ => None,
        })
        .await
    }

    /// What a request is answered with, other than by a page.
    async fn ask(&mut self, request: &Request) -> Result<Ack, Problem> {
        self.say(request).await;
        self.hear_of(|reply| match reply {
            Reply::Ack(ack) => Some(Ok(ack)),
            Reply::Error(problem) => Some(Err(problem)),
            _ => None,
        })
        .await
    }

    async fn delete(&mut self, path: &str, base_version: Option<u64>) -> Result<Ack, Problem> {
        let path = path.to_owned();
        self.ask(&Request::DeleteFile(Delete { re: None, path, base_version, stamp: None })).await
    }

    async fn relocate(&mut self, path: &str, to: &str) -> Result<Ack, Problem> {
        let (path, to) = (path.to_owned(), to.to_owned());
        self.ask(&Request::MoveFile(Move { re: None, path, to, stamp: None })).await
    }

    /// Seq and path of everything that lives.
    async fn files(&mut self) -> Vec<(u64, String)> {
        self.say(&Request::GetChanges(GetChanges::default())).await;
        let page = self.hear_of(|reply| match reply {
            Reply::Changes(page) => Some(page.items),
            _ => None,
        });
        page.await.into_iter().map(|item| (item.seq, item.path)).collect()
    }
}

fn read(bytes: &[u8], form: Form) -> Reply {
    read_reply(bytes, form).expect("the server writes what can be read")
}

fn upload(id: i64, path: String, content: String) -> Operation {
    Operation {
        id: Re::Number(id),
        r#type: OperationKind::UploadFile,
        path,
        to: None,
        content: Some(Content::Text(content)),
        encoding: None,
        blob: None,
        diff: None,
        unit: None,
        base_version: None,
        stamp: None,
        timestamp: None,
    }
}

fn deletion(id: i64, path: &str) -> Operation {
    let r#type = OperationKind::DeleteFile;
    Operation { r#type, content: None, ..upload(id, path.to_owned(), String::new()) }
}

fn relocation(id: i64, path: &str, to: &str) -> Operation {
    let (r#type, to) = (OperationKind::MoveFile, Some(to.to_owned()));
    Operation { r#type, to, ..deletion(id, path) }
}

fn updated(reply: Reply) -> Option<Updated> {
    match reply {
        Reply::FileUpdated(updated) => Some(updated),
        _ => None,
    }
}

/// What a reader of the stream is told, until it has so much.
async fn streamed(to: SocketAddr, count: u64) -> Vec<u64> {
    let asked = http::Request::new("GET", "/v1/vaults/team/changes?since=0");
    let mut events = http::Events::open(asked, to).await;
    let mut seen = Vec::new();
    while (seen.len() as u64) < count {
        let event = events.next().await.expect("the stream goes on");
        let (_, seq) = event.id.split_once('.').expect("an epoch and a seq");
        seen.push(seq.parse().expect("a seq"));
    }
    seen
}

/// What a reader that asks again and again is told, until it has so much.
async fn polled(to: SocketAddr, count: u64) -> Vec<u64> {
    let (mut seen, mut since) = (Vec::new(), "0".to_owned());
    while (seen.len() as u64) < count {
        let target = format!("/v1/vaults/team/changes?since={since}&limit=1000&wait=20");
        let page = http::Request::new("GET", &target).send(to).await.json();
        let changes = page["changes"].as_array().expect("changes");
        seen.extend(changes.iter().map(|change| change["seq"].as_u64().expect("a seq")));
        page["cursor"].as_str().expect("a cursor").clone_into(&mut since);
    }
    seen
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_readers_of_each_kind_hear_a_thousand_changes_in_order_and_without_a_gap() {
    const READERS: usize = 50;
    const FILES: u64 = 1_000;
    let server = Server::start().await;
    let mut writer = Client::open(&server, Form::MessagePack, None).await;
    let mut readers = JoinSet::new();
    for at in 0..READERS {
        let form = if at % 2 == 0 { Form::Json } else { Form::MessagePack };
        // Some come from the beginning, some with what happens from now on.
        let since = (at % 3 == 0).then_some(0);
        let mut reader = Client::open(&server, form, since).await;
        readers.spawn(async move {
            let mut seen = Vec::new();
            while seen.len() < FILES as usize {
                seen.push(reader.hear_of(updated).await.version);
            }
            seen
        });
    }
    for _ in 0..READERS {
        readers.spawn(streamed(server.address(), FILES));
        readers.spawn(polled(server.address(), FILES));
    }
    let items = (0..FILES as i64).map(|at| upload(at, format!("{at}.md"), at.to_string()));
    writer.push(items.collect()).await;
    let expected: Vec<u64> = (1..=FILES).collect();
    for seen in readers.join_all().await {
        assert_eq!(seen, expected);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_changes_faster_than_a_reader_reads_is_told_in_its_latest_form() {
    let server = Server::start().await;
    let mut writer = Client::open(&server, Form::Json, None).await;
    let mut reader = Client::open(&server, Form::Json, Some(0)).await;
    for round in 0..60 {
        writer.push(vec![upload(round, "a.md".to_owned(), format!("round {round}"))]).await;
    }
    let mut last = 0;
    loop {
        let Updated { version, size, .. } = reader.hear_of(updated).await;
        assert!(version > last, "{version} behind {last}");
        last = version;
        if size == "round 59".len() as u64 && version == 60 {
            break;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_channel_ends_with_the_server_and_goes_on_after_it() {
    let server = Server::start().await;
    let mut writer = Client::open(&server, Form::Json, None).await;
    writer.push((0..3).map(|at| upload(at, format!("{at}.md"), at.to_string())).collect()).await;
    let ended = async {
        loop {
            if let Err(code) = writer.hear().await {
                break code;
            }
        }
    };
    let (server, code) = tokio::join!(server.restart(), ended);
    assert_eq!(code, 1012);
    let mut reader = Client::open(&server, Form::Json, Some(2)).await;
    assert_eq!(reader.hear_of(updated).await.version, 3);
    reader.hear_of(|reply| matches!(reply, Reply::SyncComplete(_)).then_some(())).await;
    reader.say(&Request::GetChanges(GetChanges { since: 1, ..GetChanges::default() })).await;
    let page = reader.hear_of(|reply| match reply {
        Reply::Changes(page) => Some(page.items),
        _ => None,
    });
    assert_eq!(page.await.iter().map(|item| item.seq).collect::<Vec<_>>(), [2, 3]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_download_names_the_version_whose_content_it_has() {
    let server = Server::start().await;
    let mut writer = Client::open(&server, Form::Json, None).await;
    let mut reader = Client::open(&server, Form::MessagePack, None).await;
    let mut writing = JoinSet::new();
    writing.spawn(async move {
        for round in 0..100 {
            let content = Some(Content::Text(round.to_string().repeat(round + 1)));
            let upload = Upload { path: "a.md".into(), content, ..Upload::default() };
            writer.say(&Request::UploadFile(upload)).await;
            writer.hear_of(|reply| matches!(reply, Reply::Ack(_)).then_some(())).await;
        }
    });
    let mut by_version = std::collections::BTreeMap::new();
    loop {
        if let Some(written) = writing.try_join_next() {
            written.expect("all were written");
            break;
        }
        let asked = Download { re: None, path: "a.md".into(), version: None };
        reader.say(&Request::DownloadFile(asked)).await;
        let answer: Result<FileContent, Problem> = reader
            .hear_of(|reply| match reply {
                Reply::FileContent(content) => Some(Ok(content)),
                Reply::Error(problem) => Some(Err(problem)),
                _ => None,
            })
            .await;
        match answer {
            Ok(FileContent { version, size, content: Some(Content::Text(text)), .. }) => {
                assert_eq!(size, text.len() as u64);
                let before = by_version.entry(version).or_insert_with(|| text.clone());
                assert_eq!(*before, text, "version {version}");
            }
            Ok(other) => panic!("no text: {other:?}"),
            Err(problem) => assert_eq!(problem.code, "FILE_NOT_FOUND"),
        }
    }
    assert!(by_version.len() > 1, "it was read while it changed");
}

/// Scenarios 16 and 21.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_edit_wins_over_a_deletion_and_a_file_keeps_its_id_where_it_moves() {
    let server = Server::start().await;
    let mut alice = Client::open(&server, Form::Json, None).await;
    let mut bob = Client::open(&server, Form::MessagePack, None).await;
    alice.push(vec![upload(0, "a.md".into(), "first".into())]).await;
    bob.push(vec![upload(0, "a.md".into(), "edited".into())]).await;
    let refused = alice.delete("a.md", Some(1)).await.unwrap_err();
    assert_eq!((refused.code.as_str(), &refused.details["version"]), ("EDIT_WINS", &2.into()));
    assert_eq!(alice.files().await, [(2, "a.md".to_owned())]);

    let moved = alice.relocate("a.md", "b/c.md").await.expect("it moves");
    assert_eq!((moved.version, moved.size), (Some(3), Some(6)));
    assert_eq!(moved.id.map(|id| id.0.to_string()), refused.details["id"].as_str().map(Into::into));
    let told = bob.hear_of(|reply| updated(reply).filter(|it| it.version == 3)).await;
    assert_eq!(Some(told.id), moved.id);
    assert_eq!(told.path, "b/c.md");
    assert_eq!(alice.delete("b/c.md", Some(3)).await.expect("it goes").version, Some(4));
    assert_eq!(alice.files().await, []);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_folder_moves_and_goes_by_the_channel() {
    let server = Server::start().await;
    let mut client = Client::open(&server, Form::Json, None).await;
    let files = ["n/1.md", "n/2.md", "o.md"];
    for (id, path) in files.into_iter().enumerate() {
        client.push(vec![upload(id as i64, path.into(), path.into())]).await;
    }
    let moved = client.relocate("n/", "m/").await.expect("it moves");
    assert_eq!((moved.count, moved.version), (Some(2), Some(5)));
    assert_eq!((moved.path.as_deref(), moved.kept.as_deref()), (Some("m/"), Some(&[][..])));
    client.push(vec![upload(9, "m/2.md".into(), "edited".into())]).await;
    let gone = client.delete("m/", Some(5)).await.expect("it goes");
    let kept: Vec<_> = gone.kept.iter().flatten().map(|it| (&*it.path, it.version)).collect();
    assert_eq!((gone.count, kept), (Some(1), vec![("m/2.md", 6)]));
    assert_eq!(client.files().await, [(3, "o.md".into()), (6, "m/2.md".into())]);
    assert_eq!(client.delete("none/", None).await.unwrap_err().code, "FILE_NOT_FOUND");
    let refused = client.relocate("m/", "m/deep/").await.unwrap_err();
    assert_eq!((refused.code.as_str(), &refused.details["field"]), ("INVALID_PATH", &"to".into()));
}

/// Scenario 55.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_atomic_push_is_done_whole_or_not_at_all() {
    let server = Server::start().await;
    let mut client = Client::open(&server, Form::Json, None).await;
    for (id, path) in ["a.md", "b.md", "n/1.md", "n/2.md"].into_iter().enumerate() {
        client.push(vec![upload(id as i64, path.into(), path.into())]).await;
    }
    let before = client.files().await;
    let good = || {
        vec![
            relocation(1, "a.md", "swap.md"),
            relocation(2, "b.md", "a.md"),
            deletion(3, "n/1.md"),
            relocation(4, "swap.md", "b.md"),
            relocation(5, "n/", "m/"),
        ]
    };
    for (third, code) in [
        (deletion(3, "none.md"), "FILE_NOT_FOUND"),
        (relocation(3, "n/1.md", "n/2.md"), "PATH_TAKEN"),
        (relocation(3, "n/1.md", "con"), "INVALID_PATH"),
        (Operation { base_version: Some(1), ..deletion(3, "n/1.md") }, "EDIT_WINS"),
        (Operation { to: None, ..relocation(3, "n/1.md", "") }, "INVALID_MESSAGE"),
        (upload(3, "a.md".into(), "text".into()), "UNSUPPORTED"),
    ] {
        let mut items = good();
        items[2] = third;
        let result = client.push_as(PushMode::Atomic, items).await;
        assert_eq!((result.success.len(), result.blocked.len()), (0, 4), "{code}");
        let failed = &result.failures[0];
        assert_eq!((&failed.id, failed.error.code.as_str()), (&Re::Number(3), code));
        assert_eq!((client.files().await, result.version), (before.clone(), 4), "{code}");
    }
    let result = client.push_as(PushMode::Atomic, good()).await;
    let ids: Vec<u64> = result.success.iter().flat_map(|done| done.sync_ids.clone()).collect();
    assert_eq!((ids, result.version), (vec![5, 6, 7, 8, 9], 9), "{:?}", result.failures);
    let due = [(6, "a.md"), (8, "b.md"), (9, "m/2.md")].map(|(seq, path)| (seq, path.to_owned()));
    assert_eq!(client.files().await, due);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_channel_ends_with_its_vault_though_devices_are_there_and_another_is_made() {
    let server = Server::start().await;
    let mut writer = Client::open(&server, Form::Json, None).await;
    writer.push(vec![upload(1, "a.md".into(), "a".into())]).await;
    let mut clients = vec![writer];
    for device in 1..=3 {
        let url = format!("{}/v1/vaults/team/channel", server.url());
        let (socket, _) = connect_async(url).await.expect("it is upgraded");
        let mut client = Client { socket, form: Form::MessagePack };
        let auth = Auth { device: Some(Device(device)), since: Some(0), ..Auth::default() };
        client.say(&Request::Auth(auth)).await;
        assert!(matches!(client.hear().await, Ok(Reply::AuthOk(_))));
        clients.push(client);
    }
    let gone = http::Request::new("DELETE", "/v1/vaults/team").send(server.address()).await;
    assert_eq!(gone.status, 204, "{}", gone.text());
    let made = http::Request::new("PUT", "/v1/vaults/team/files/b.md").body("b");
    assert_eq!(made.send(server.address()).await.status, 201);
    for mut client in clients {
        let code = client
            .hear_of(|reply| match reply {
                Reply::Error(problem) => Some(problem.code),
                Reply::FileUpdated(news) => {
                    assert_eq!(news.path, "a.md", "the other vault is none of its");
                    None
                }
                _ => None,
            })
            .await;
        assert_eq!(code, "VAULT_NOT_FOUND");
        assert_eq!(client.hear().await, Err(4404));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_reads_items_is_told_of_very_many_changes_as_one_and_asks_for_them() {
    const FILES: i64 = 1_500;
    let server = Server::start().await;
    let mut writer = Client::open(&server, Form::MessagePack, None).await;
    for batch in 0..2 {
        let ids = batch * FILES / 2..(batch + 1) * FILES / 2;
        let items = ids.map(|id| upload(id, format!("a/{id}.md"), "x".into())).collect();
        writer.push_as(PushMode::Atomic, items).await;
    }
    let url = format!("{}/v1/vaults/team/channel", server.url());
    let (socket, _) = connect_async(url).await.expect("it is upgraded");
    let mut reader = Client { socket, form: Form::Json };
    let auth = Auth { view: Some(View::Items), ..Auth::default() };
    reader.say(&Request::Auth(auth)).await;
    assert!(matches!(reader.hear().await, Ok(Reply::AuthOk(_))));
    let moved = writer.relocate("a/", "b/").await.expect("they move");
    assert_eq!(moved.count, Some(FILES as u64));
    let touched = reader
        .hear_of(|reply| match reply {
            Reply::Touched(touched) => Some(touched),
            Reply::Change(item) => panic!("{item:?} is told by itself"),
            _ => None,
        })
        .await;
    let (first, last) = (FILES as u64, 2 * FILES as u64);
    let due = Touched { collection: "files".into(), from: first, to: first + 1_000, count: 1_000 };
    assert_eq!(touched, due);
    // The rest is not that much.
    for seq in first + 1_001..=last {
        let item = reader.hear_of(|reply| match reply {
            Reply::Change(item) => Some(item),
            _ => None,
        });
        assert_eq!(item.await.seq, seq);
    }
    let asked = GetChanges { since: touched.from, limit: Some(1_000), ..GetChanges::default() };
    reader.say(&Request::GetChanges(asked)).await;
    let page = reader
        .hear_of(|reply| match reply {
            Reply::Changes(page) => Some(page),
            _ => None,
        })
        .await;
    let seqs: Vec<u64> = page.items.iter().map(|item| item.seq).collect();
    assert_eq!(seqs, (touched.from + 1..=touched.to).collect::<Vec<u64>>());
    assert!(page.items.iter().all(|item| item.path.starts_with("b/")));
    assert_eq!((page.version, page.has_more), (touched.to, true));
}
