//! Blobs over HTTP: in and out, in part, broken off, too large, and who may.

use std::io;

use serde_json::{Value, json};
use sheaf_server::auth::role::Role;
use sheaf_server::blob::Hash;
use sheaf_server::blob::cut::CHUNK_BYTES_MAX;
use sheaf_server::config::Config;
use sheaf_tests::eventually::eventually_async;
use sheaf_tests::http::{Answer, Request};
use sheaf_tests::server::Server;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

use super::{Client, ROOT, SOON, these, user, with_root};

const MIB: usize = 1 << 20;
const ADA: &str = "the-token-of-ada-12345";

fn small_files(config: &mut Config) {
    config.limits.file_bytes_max = MIB as u64;
}

fn with_ada(config: &mut Config) {
    with_root(config);
    config.users.push(user("ada", ADA, these(&["notes", "other"]), Role::Write));
}

/// Bytes that are the same nowhere.
fn bytes(count: usize) -> Vec<u8> {
    let mut state: u64 = 7;
    let next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    };
    let mut bytes: Vec<u8> = std::iter::repeat_with(next).take(count / 8 + 1).flatten().collect();
    bytes.truncate(count);
    bytes
}

/// A server with a vault.
async fn arranged(configure: fn(&mut Config)) -> (Server, Client) {
    let server = Server::start_with(configure).await;
    let client = Client::new(&server);
    let made = client.ask("PUT", "").await;
    assert!([200, 201, 401].contains(&made.status), "{}", made.text());
    (server, client)
}

fn blob(method: &str, hash: &Hash) -> Request {
    Request::new(method, &format!("/v1/vaults/notes/blobs/{hash}"))
}

fn part(content: &[u8], from: usize, to: usize) -> Request {
    let range = format!("bytes {from}-{}/{}", to - 1, content.len());
    blob("PUT", &Hash::of(content)).header("Content-Range", &range).body(&content[from..to])
}

async fn want(client: &Client, hashes: &[Hash]) -> Value {
    let want: Vec<String> = hashes.iter().map(Hash::to_string).collect();
    let asked = Request::new("POST", "/v1/vaults/notes/blobs").json(&json!({ "want": want }));
    client.send(asked).await.json()
}

/// One connection for many requests.
struct Kept(BufReader<TcpStream>);

impl Kept {
    async fn send(&mut self, request: Request) -> (u16, Vec<u8>) {
        self.begin(request).await;
        self.answer().await.expect("an answer")
    }

    async fn begin(&mut self, request: Request) {
        let to = self.0.get_ref().peer_addr().expect("connected");
        self.write(&request.header("Connection", "keep-alive").bytes(to)).await;
    }

    async fn write(&mut self, bytes: &[u8]) {
        self.0.get_mut().write_all(bytes).await.expect("it takes it");
    }

    async fn answer(&mut self) -> io::Result<(u16, Vec<u8>)> {
        let (mut status, mut length) = (0, 0);
        loop {
            let mut line = String::new();
            let read = tokio::time::timeout(SOON, self.0.read_line(&mut line));
            if read.await.expect("in time")? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            let line = line.trim_end().to_ascii_lowercase();
            if let Some(rest) = line.strip_prefix("http/1.1 ") {
                status = rest[..3].parse().expect("a status");
            } else if let Some(rest) = line.strip_prefix("content-length: ") {
                length = rest.parse().expect("a length");
            } else if line.is_empty() {
                break;
            }
        }
        let mut body = vec![0; length];
        self.0.read_exact(&mut body).await?;
        Ok((status, body))
    }
}

async fn connect(server: &Server) -> Kept {
    Kept(BufReader::new(TcpStream::connect(server.address()).await.expect("it listens")))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_blob_goes_in_and_out_whole_and_in_part() {
    let (server, client) = arranged(|_| {}).await;
    for count in [0, 10, MIB, 3 * MIB + 5] {
        let content = bytes(count);
        let hash = Hash::of(&content);
        assert_eq!(want(&client, &[hash]).await, json!({ "missing": [hash.to_string()] }));
        let put = client.send(blob("PUT", &hash).body(content.clone())).await;
        let info = json!({ "hash": hash.to_string(), "size": count, "created": true });
        assert_eq!((put.status, put.json()), (201, info));
        assert_eq!(want(&client, &[hash, hash]).await, json!({ "missing": [] }));
        assert_eq!(client.send(blob("PUT", &hash).body(content.clone())).await.status, 200);

        let read = client.send(blob("GET", &hash)).await;
        assert_eq!((read.status, read.body == content), (200, true));
        let tag = format!("\"{hash}\"");
        for (name, value) in [
            ("etag", tag.as_str()),
            ("content-length", &count.to_string()),
            ("content-type", "application/octet-stream"),
            ("accept-ranges", "bytes"),
            ("cache-control", "private, max-age=31536000, immutable"),
            ("content-security-policy", "sandbox; default-src 'none'"),
            ("content-disposition", "attachment"),
            ("x-content-type-options", "nosniff"),
        ] {
            assert_eq!(read.header(name), value, "{name}");
        }
        let head = client.send(blob("HEAD", &hash).header("Range", "bytes=0-1")).await;
        assert_eq!((head.status, head.body.len()), (200, 0));
        assert_eq!(head.header("content-length"), count.to_string());
        let held = client.send(blob("GET", &hash).header("If-None-Match", &tag)).await;
        assert_eq!((held.status, held.header("etag")), (304, &*tag));
        let other = client.send(blob("GET", &hash).header("If-Match", "\"x\"")).await;
        assert_eq!((other.status, other.code().as_str()), (412, "precondition_failed"));
    }
    drop(server);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_range_is_answered_with_that_part() {
    let (server, client) = arranged(|_| {}).await;
    let content = bytes(3 * MIB);
    let hash = Hash::of(&content);
    assert_eq!(client.send(blob("PUT", &hash).body(content.clone())).await.status, 201);
    let tag = format!("\"{hash}\"");
    for (range, from, to) in [
        ("bytes=0-0", 0, 1),
        ("bytes=1000000-2500000", 1_000_000, 2_500_001),
        ("bytes=3145727-", 3 * MIB - 1, 3 * MIB),
        ("bytes=-5", 3 * MIB - 5, 3 * MIB),
    ] {
        let asked = blob("GET", &hash).header("Range", range).header("If-Range", &tag);
        let answer = client.send(asked).await;
        let told = format!("bytes {from}-{}/{}", to - 1, content.len());
        assert_eq!((answer.status, answer.header("content-range")), (206, &*told));
        assert_eq!(answer.header("content-length"), (to - from).to_string());
        assert!(answer.body == content[from..to], "{range}");
    }
    let behind = client.send(blob("GET", &hash).header("Range", "bytes=3145728-")).await;
    assert_eq!((behind.status, behind.code().as_str()), (416, "range_unsatisfiable"));
    assert_eq!(behind.header("content-range"), "bytes */3145728");
    for (name, value) in [("If-Range", "\"other\""), ("X-Nothing", "")] {
        let range = if name == "If-Range" { "bytes=0-1" } else { "bytes=0-1,5-6" };
        let all = client.send(blob("GET", &hash).header("Range", range).header(name, value)).await;
        assert_eq!((all.status, all.body.len()), (200, content.len()));
    }
    drop(server);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bytes_of_another_hash_are_refused() {
    let (server, client) = arranged(|_| {}).await;
    for count in [5, 2 * MIB] {
        let content = bytes(count);
        let hash = Hash::of(b"something else");
        let answer = client.send(blob("PUT", &hash).body(content)).await;
        assert_eq!((answer.status, answer.code().as_str()), (422, "hash_mismatch"));
        assert_eq!(client.send(blob("HEAD", &hash)).await.status, 404);
    }
    for wrong in ["x", &"A".repeat(64), &"0".repeat(63)] {
        let target = format!("/v1/vaults/notes/blobs/{wrong}");
        let answer = client.send(Request::new("GET", &target)).await;
        assert_eq!((answer.status, answer.code().as_str()), (400, "malformed"), "{wrong}");
    }
    drop(server);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upload_in_parts_goes_on_where_it_is() {
    let (server, client) = arranged(|_| {}).await;
    let content = bytes(4 * MIB);
    let hash = Hash::of(&content);
    let nothing = client.send(blob("HEAD", &hash)).await;
    assert_eq!((nothing.status, nothing.header("upload-offset")), (404, "0"));
    let early = client.send(part(&content, 5, 10)).await;
    assert_eq!((early.status, early.code().as_str()), (412, "precondition_failed"));
    assert_eq!(
        (early.header("upload-offset"), &early.json()["details"]),
        ("0", &json!({"offset": 0}))
    );

    let first = client.send(part(&content, 0, 2 * MIB)).await;
    assert_eq!((first.status, first.json()), (202, json!({ "offset": 2 * MIB })));
    let server = server.restart().await;
    let client = Client::new(&server);
    let head = client.send(blob("HEAD", &hash)).await;
    assert_eq!((head.status, head.header("upload-offset")), (404, "2097152"));
    // From before where it is: what is there is not taken again.
    let second = client.send(part(&content, MIB, 3 * MIB)).await;
    assert_eq!((second.status, second.header("upload-offset")), (202, "3145728"));
    let last = client.send(part(&content, 3 * MIB, 4 * MIB)).await;
    assert_eq!((last.status, last.json()["created"].as_bool()), (201, Some(true)));
    assert!(client.send(blob("GET", &hash)).await.body == content);

    for range in ["bytes 0-9/9", "bytes */5", "lines 0-4/5", "bytes 0-5/6"] {
        let wrong = blob("PUT", &hash).header("Content-Range", range).body("12345");
        let answer = client.send(wrong).await;
        assert_eq!((answer.status, answer.code().as_str()), (400, "malformed"), "{range}");
    }
    drop(server);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_breaks_off_leaves_what_has_come() {
    let (server, client) = arranged(|_| {}).await;
    let content = bytes(4 * MIB);
    let hash = Hash::of(&content);
    let announced = blob("PUT", &hash).header("Content-Length", &content.len().to_string());
    let mut stream = announced.open(server.address()).await;
    stream.write_all(&content[..3 * MIB]).await.expect("sent");
    stream.shutdown().await.expect("shut");
    drop(stream);
    let told = (3 * MIB).to_string();
    let is_there =
        || async { client.send(blob("HEAD", &hash)).await.header("upload-offset") == told };
    eventually_async("what has come is there", SOON, is_there).await;
    let rest = client.send(part(&content, 3 * MIB, content.len())).await;
    assert_eq!(rest.status, 201, "{}", rest.text());
    assert!(client.send(blob("GET", &hash)).await.body == content);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_text_that_is_too_large_is_refused_and_the_connection_stays() {
    let (server, _) = arranged(|config| config.limits.text_bytes_max = MIB).await;
    let mut kept = connect(&server).await;
    let file = |method| Request::new(method, "/v1/vaults/notes/files/a.md");
    for (size, due) in [(MIB, 201), (MIB + 1, 413), (2 * MIB, 413), (MIB - 1, 200)] {
        let (status, body) = kept.send(file("PUT").body("x".repeat(size))).await;
        assert_eq!(status, due, "{size}");
        if due == 413 {
            let body: Value = serde_json::from_slice(&body).expect("JSON");
            let told = (&body["code"], &body["details"]["bytes_max"]);
            assert_eq!(told, (&json!("file_too_large"), &json!(MIB)));
        }
    }
    let (status, body) = kept.send(file("GET")).await;
    assert_eq!((status, body.len()), (200, MIB - 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bytes_of_any_size_are_put_at_a_path_and_a_large_text_does_not_become_bytes() {
    let bounds = |config: &mut Config| {
        config.limits.text_bytes_max = MIB;
        config.limits.file_bytes_max = 4 * MIB as u64;
    };
    let (server, _) = arranged(bounds).await;
    let mut kept = connect(&server).await;
    let file = |method| Request::new(method, "/v1/vaults/notes/files/a.bin");
    let late = |before: usize, what: &[u8]| [&vec![b'x'; before], what].concat();
    let bodies = [
        (late(3 * MIB, b"\0"), 413, "no sign of bytes where a text ends"),
        (late(MIB, b"\xc3"), 413, "the first half of a letter"),
        (late(MIB - 1, b"\xff\xff"), 201, "no text"),
        (late(MIB - 1, b"\0x"), 200, "a zero byte"),
        (bytes(4 * MIB + 1), 413, "more than a file has"),
        (bytes(4 * MIB), 200, "a file"),
    ];
    for is_announced in [true, false] {
        for (at, (body, due, why)) in bodies.iter().enumerate() {
            let (status, answer) = if is_announced {
                kept.send(file("PUT").body(body.clone())).await
            } else {
                kept.begin(file("PUT").header("Transfer-Encoding", "chunked")).await;
                for frame in body.chunks(100_000) {
                    let head = format!("{:x}\r\n", frame.len());
                    kept.write(&[head.as_bytes(), frame, b"\r\n"].concat()).await;
                }
                kept.write(b"0\r\n\r\n").await;
                kept.answer().await.expect("an answer")
            };
            let due = if is_announced || *due == 413 { *due } else { 200 };
            assert_eq!(status, due, "{at}, {why}: {}", String::from_utf8_lossy(&answer));
            let told: Value = serde_json::from_slice(&answer).expect("JSON");
            match status {
                413 => assert_eq!(told["code"], "file_too_large", "{why}"),
                _ => assert_eq!(told["hash"], Hash::of(body).to_string(), "{why}"),
            }
        }
        let (status, body) = kept.send(file("GET")).await;
        assert!(status == 200 && body == bytes(4 * MIB));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_is_too_large_is_refused_and_the_connection_stays() {
    let (server, _) = arranged(small_files).await;
    let mut kept = connect(&server).await;
    let fits = bytes(MIB);
    let fits_hash = Hash::of(&fits);
    let over = bytes(MIB + 1);
    let code = |body: &[u8]| {
        let body: Value = serde_json::from_slice(body).expect("JSON");
        (body["code"].as_str().expect("a word").to_owned(), body["details"].clone())
    };
    let refused = ("file_too_large".to_owned(), json!({ "bytes_max": MIB }));
    for size in [MIB + 1, 2 * MIB, 8 * MIB] {
        // Announced, and at once in the way.
        let (status, body) = kept.send(blob("PUT", &Hash::of(&over)).body(bytes(size))).await;
        assert_eq!((status, code(&body)), (413, refused.clone()), "{size}");
    }
    // Not announced.
    let chunked = blob("PUT", &Hash::of(&over)).header("Transfer-Encoding", "chunked");
    kept.begin(chunked).await;
    for frame in over.chunks(100_000) {
        let head = format!("{:x}\r\n", frame.len());
        kept.write(&[head.as_bytes(), frame, b"\r\n"].concat()).await;
    }
    kept.write(b"0\r\n\r\n").await;
    let (status, body) = kept.answer().await.expect("an answer");
    assert_eq!((status, code(&body)), (413, refused.clone()));
    let (status, _) = kept.send(blob("PUT", &fits_hash).body(fits.clone())).await;
    assert_eq!(status, 201);
    let (status, body) = kept.send(blob("GET", &fits_hash)).await;
    assert!(status == 200 && body == fits);

    // Whoever asks first does not send it.
    let mut asking = connect(&server).await;
    let expecting = blob("PUT", &Hash::of(&over)).header("Expect", "100-continue");
    let expecting = expecting.header("Content-Length", &over.len().to_string());
    asking.begin(expecting).await;
    let (status, body) = asking.answer().await.expect("an answer");
    assert_eq!((status, code(&body)), (413, refused));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_chunks_that_are_new_are_sent() {
    let (server, client) = arranged(|_| {}).await;
    let mut content = bytes(4 * MIB);
    let before = Hash::of(&content);
    assert_eq!(client.send(blob("PUT", &before).body(content.clone())).await.status, 201);
    let target = format!("/v1/vaults/notes/blobs/{before}?chunks=1");
    let mut list = client.send(Request::new("GET", &target)).await.json();
    let chunks = list["chunks"].as_array_mut().expect("chunks");
    assert!(chunks.len() > 4);
    // The second chunk becomes another one.
    let begin = chunks[0]["size"].as_u64().expect("a size") as usize;
    let end = begin + chunks[1]["size"].as_u64().expect("a size") as usize;
    content[begin] ^= 1;
    let new = Hash::of(&content[begin..end]);
    chunks[1]["hash"] = json!(new.to_string());
    let after = Hash::of(&content);
    let asked = client.send(blob("POST", &after).json(&list)).await;
    assert_eq!((asked.status, asked.code().as_str()), (409, "blob_missing"));
    assert_eq!(asked.json()["details"], json!({ "missing": [new.to_string()] }));
    assert_eq!(client.send(blob("PUT", &new).body(&content[begin..end])).await.status, 201);
    let made = client.send(blob("POST", &after).json(&list)).await;
    assert_eq!((made.status, made.json()["size"].as_u64()), (201, Some(content.len() as u64)));
    assert!(client.send(blob("GET", &after)).await.body == content);
    let wrong = client.send(blob("POST", &new).json(&list)).await;
    assert_eq!((wrong.status, wrong.code().as_str()), (422, "hash_mismatch"));
    for wrong in [
        json!({ "chunks": [] }),
        json!({ "chunks": [{ "hash": "x", "size": 1 }] }),
        json!({ "chunks": [{ "hash": new.to_string(), "size": CHUNK_BYTES_MAX + 1 }] }),
    ] {
        let answer = client.send(blob("POST", &after).json(&wrong)).await;
        assert_eq!((answer.status, answer.code().as_str()), (400, "malformed"), "{wrong}");
    }
    drop(server);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_question_has_at_most_a_thousand_hashes() {
    let (server, client) = arranged(|_| {}).await;
    let hash = |number: u32| Hash::of(&number.to_le_bytes());
    let hashes: Vec<Hash> = (0..1000).map(hash).collect();
    let answer = want(&client, &hashes).await;
    assert_eq!(answer["missing"].as_array().expect("a list").len(), 1000);
    let more: Vec<Hash> = (0..1001).map(hash).collect();
    let answer = want(&client, &more).await;
    assert_eq!(
        (&answer["code"], &answer["details"]),
        (&json!("batch_too_large"), &json!({ "count_max": 1000 }))
    );
    drop(server);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_vault_does_not_tell_what_another_has() {
    let (server, _) = arranged(with_ada).await;
    let to = server.address();
    let root = |method, target: &str| Request::new(method, target).token(ROOT);
    for vault in ["notes", "other"] {
        assert_eq!(root("PUT", &format!("/v1/vaults/{vault}")).send(to).await.status, 201);
    }
    let content = bytes(10);
    let hash = Hash::of(&content);
    assert_eq!(blob("PUT", &hash).token(ADA).body(content.clone()).send(to).await.status, 201);
    let elsewhere = format!("/v1/vaults/other/blobs/{hash}");
    for method in ["GET", "HEAD"] {
        let answer = Request::new(method, &elsewhere).token(ADA).send(to).await;
        assert_eq!(answer.status, 404);
    }
    let asked = Request::new("POST", "/v1/vaults/other/blobs").token(ADA);
    let asked = asked.json(&json!({ "want": [hash.to_string()] })).send(to).await;
    assert_eq!(asked.json(), json!({ "missing": [hash.to_string()] }));
    let put = Request::new("PUT", &elsewhere).token(ADA).body(content).send(to).await;
    assert_eq!((put.status, &put.json()["created"]), (201, &json!(true)));
    // A vault that is made again has nothing of the one before.
    assert_eq!(root("DELETE", "/v1/vaults/other").send(to).await.status, 204);
    assert_eq!(Request::new("GET", &elsewhere).token(ADA).send(to).await.status, 404);
    assert_eq!(root("PUT", "/v1/vaults/other").send(to).await.status, 201);
    assert_eq!(Request::new("GET", &elsewhere).token(ADA).send(to).await.status, 404);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_blob_that_outlives_its_grant_is_not_stored() {
    let (server, _) = arranged(with_ada).await;
    let to = server.address();
    assert_eq!(Request::new("PUT", "/v1/vaults/notes").token(ROOT).send(to).await.status, 201);
    let hash = Hash::of(b"no");
    let request = blob("PUT", &hash).token(ADA).header("Expect", "100-continue");
    let mut stream = request.header("Content-Length", "2").open(to).await;
    let mut said = [0; 25];
    stream.read_exact(&mut said).await.expect("it is told to go on");
    let mut config = Config::clone(&server.app().config());
    config.users.retain(|user| &*user.name != "ada");
    server.app().reload(config).expect("it is taken");
    stream.write_all(b"no").await.expect("sent");
    let mut answer = String::new();
    let read = tokio::time::timeout(SOON, stream.read_to_string(&mut answer)).await;
    read.expect("in time").expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 401 "), "{answer}");
    let read: Answer = blob("GET", &hash).token(ROOT).send(to).await;
    assert_eq!(read.status, 404);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_who_send_the_same_store_it_once() {
    let (server, _) = arranged(|_| {}).await;
    let to = server.address();
    let content = bytes(3 * MIB);
    let hash = Hash::of(&content);
    let sending = (0..8).map(|_| blob("PUT", &hash).body(content.clone()).send(to));
    let answers = futures::future::join_all(sending).await;
    assert!(answers.iter().all(|answer| [200, 201].contains(&answer.status)));
    let created = answers.iter().filter(|answer| answer.status == 201).count();
    assert!(created >= 1, "{created}");
    assert!(blob("GET", &hash).send(to).await.body == content);
}
