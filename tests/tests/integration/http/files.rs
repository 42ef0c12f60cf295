//! Files: reading, writing, conditions, edits, moving, deleting, listing.

use std::io::{Read, Write};

use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use serde_json::json;
use sheaf_tests::http::Request;
use sheaf_tests::server::Server;

use super::Client;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_text_comes_back_as_it_was_put_with_a_tag_that_names_its_state() {
    let server = Server::start().await;
    let notes = Client::new(&server);
    let text = "first line\nzweite Zeile: äöü\n😀\r\n\u{feff}end";
    let made = notes.put("deep/in/a folder.md".replace(' ', "%20").as_str(), text).await;
    assert_eq!(made.status, 201, "{}", made.text());
    let told = made.json();
    assert_eq!(told["path"], "deep/in/a folder.md");
    assert_eq!(told["size"], text.len());
    assert_eq!(told["created"], true);
    assert_eq!(told["changed"], true);
    assert_eq!(told["etag"], made.header("etag"));
    assert_eq!(made.header("location"), "/v1/vaults/notes/files/deep/in/a%20folder.md");

    let read = notes.send(Request::new("GET", made.header("location"))).await;
    assert_eq!((read.status, read.text().as_str()), (200, text));
    assert_eq!(read.header("etag"), made.header("etag"));
    assert_eq!(read.header("content-type"), "text/plain; charset=utf-8");
    assert_eq!(read.header("x-content-type-options"), "nosniff");
    assert_eq!(read.header("content-security-policy"), "sandbox; default-src 'none'");

    let head = notes.send(Request::new("HEAD", made.header("location"))).await;
    assert_eq!((head.status, head.body.len()), (200, 0));
    assert_eq!(head.header("content-length"), text.len().to_string());

    let again = notes.send(Request::new("PUT", made.header("location")).body(text)).await;
    assert_eq!(again.status, 200);
    assert_eq!(again.json()["changed"], false, "{}", again.text());
    assert_eq!(again.header("etag"), made.header("etag"), "what changes nothing moves no tag");
    assert_eq!(again.json()["version"], told["version"], "and takes no seq");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_empty_text_makes_a_file_too() {
    let server = Server::start().await;
    let notes = Client::new(&server);
    let made = notes.put("empty.md", "").await;
    assert_eq!(made.status, 201, "{}", made.text());
    let read = notes.get("empty.md").await;
    assert_eq!((read.status, read.text().as_str()), (200, ""));
    assert_eq!(read.header("etag"), made.header("etag"));
    let listed = notes.ask("GET", "/files").await.json();
    assert_eq!(listed["files"][0]["path"], "empty.md");
    assert_eq!(notes.put("empty.md", "").await.status, 200);
    let full = notes.put("empty.md", "something").await;
    assert_eq!(full.status, 200);
    let emptied = notes.put("empty.md", "").await;
    assert_eq!((emptied.status, emptied.json()["size"].as_u64()), (200, Some(0)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_put_is_there_after_a_restart() {
    let server = Server::start().await;
    let tag = Client::new(&server).written("kept.md", "kept\n").await;
    let server = server.restart().await;
    let notes = Client::new(&server);
    let read = notes.get("kept.md").await;
    assert_eq!((read.status, read.text().as_str()), (200, "kept\n"));
    assert_eq!(read.header("etag"), tag);
    let edit = json!({ "unit": "utf8", "edits": [{ "op": "insert", "at": 5, "text": "well\n" }] });
    let edited = notes.patch("kept.md", &tag, &edit).await;
    assert_eq!(edited.status, 200, "{}", edited.text());
    assert_eq!(notes.get("kept.md").await.text(), "kept\nwell\n");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_condition_holds_or_nothing_happens() {
    let server = Server::start().await;
    let notes = Client::new(&server);
    let put = |name: &'static str, value: &str| {
        notes.file("PUT", "c.md").header(name, value).body("more\n")
    };
    let missing = notes.send(put("If-Match", "*")).await;
    assert_eq!((missing.status, missing.code().as_str()), (412, "precondition_failed"));
    assert_eq!(missing.json()["details"]["etag"], json!(null));
    assert_eq!(notes.get("c.md").await.status, 404);

    let made = notes.send(put("If-None-Match", "*")).await;
    assert_eq!(made.status, 201);
    let first = made.header("etag").to_owned();
    let twice = notes.send(put("If-None-Match", "*")).await;
    assert_eq!(twice.status, 412);
    assert_eq!(twice.json()["details"]["etag"], first.as_str());

    let second = notes.written("c.md", "changed\n").await;
    assert_ne!(first, second);
    for stale in [first.clone(), format!("W/{second}"), format!("\"x\", {first}")] {
        let answer = notes.send(put("If-Match", &stale)).await;
        assert_eq!(answer.status, 412, "{stale}");
        assert_eq!(answer.json()["details"]["etag"], second.as_str());
    }
    assert_eq!(notes.get("c.md").await.text(), "changed\n");
    let lists = notes.file("PUT", "c.md").header("If-Match", "\"x\"").header("If-Match", &second);
    assert_eq!(notes.send(lists.body("by a list on two lines\n")).await.status, 200);

    let read = notes.get("c.md").await;
    let third = read.header("etag").to_owned();
    for held in [third.clone(), format!("W/{third}"), format!("\"x\", {third}"), "*".to_owned()] {
        let request = notes.file("GET", "c.md").header("If-None-Match", &held);
        let answer = notes.send(request).await;
        assert_eq!((answer.status, answer.body.len()), (304, 0), "{held}");
        assert_eq!(answer.header("etag"), third);
    }
    let other = notes.file("GET", "c.md").header("If-None-Match", &first);
    assert_eq!(notes.send(other).await.status, 200);
    let delete = |tag: &str| notes.file("DELETE", "c.md").header("If-Match", tag);
    assert_eq!(notes.send(delete(&first)).await.status, 412);
    assert_eq!(notes.send(delete(&third)).await.status, 204);
    assert_eq!(notes.send(delete(&third)).await.status, 404);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bytes_have_one_tag_and_a_condition_on_it_holds() {
    let server = Server::start().await;
    let notes = Client::new(&server);
    let bytes = |byte: u8| vec![byte, 0, byte];
    let put = |byte| notes.file("PUT", "b.bin").body(bytes(byte));
    let first = notes.send(put(1).header("If-None-Match", "*")).await;
    assert_eq!(first.status, 201, "{}", first.text());
    let was = first.header("etag").to_owned();
    assert_eq!(was, format!("\"{}\"", first.json()["hash"].as_str().expect("a hash")));
    let listed = notes.ask("GET", "/files").await.json();
    let tags = [
        notes.get("b.bin").await.header("etag").to_owned(),
        listed["files"][0]["etag"].as_str().expect("a tag").to_owned(),
        notes.get("b.bin?meta=1").await.json()["etag"].as_str().expect("a tag").to_owned(),
    ];
    assert_eq!(tags, [&*was, &*was, &*was]);
    let second = notes.send(put(2).header("If-Match", &was)).await;
    assert_eq!(second.status, 200, "{}", second.text());
    let now = second.header("etag").to_owned();
    let made_for = [
        put(3),
        put(3).header("Sheaf-Base", &first.json()["version"].to_string()),
        notes.file("PUT", "b.bin").body("a text"),
        notes.file("DELETE", "b.bin"),
        notes.file("POST", "b.bin?move=c.bin"),
        notes.file("POST", &format!("b.bin?restore={}", first.json()["version"])),
        notes.file("POST", "b.bin?name=mine"),
    ];
    for request in made_for {
        let late = notes.send(request.header("If-Match", &was)).await;
        assert_eq!((late.status, late.code().as_str()), (412, "precondition_failed"));
        assert_eq!(late.json()["details"]["etag"], now.as_str());
    }
    assert_eq!(notes.get("b.bin").await.body, bytes(2));
    let restore = notes.file("POST", &format!("b.bin?restore={}", first.json()["version"]));
    assert_eq!(notes.send(restore.header("If-Match", &now)).await.status, 200);
    assert_eq!(notes.get("b.bin").await.header("etag"), was);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_answer_about_a_file_says_which_version_it_is_of() {
    let server = Server::start().await;
    let notes = Client::new(&server);
    let epoch = notes.put("a.md", "one").await.header("sheaf-epoch").to_owned();
    let cursor = notes.ask("GET", "/changes").await.json()["cursor"].as_str().map(str::to_owned);
    assert_eq!(cursor, Some(format!("{epoch}.1")));
    notes.send(notes.file("PUT", "b.bin").body(vec![0, 1])).await;
    let meta = notes.get("a.md?meta=1").await.json();
    let edits = json!({ "unit": "utf16", "edits": [{ "op": "insert", "at": 0, "text": "T" }] });
    let answers = [
        (1, notes.get("a.md").await),
        (1, notes.get("a.md?meta=1").await),
        (1, notes.get("a.md?at=1").await),
        (2, notes.get("b.bin").await),
        (3, notes.patch("a.md", meta["etag"].as_str().expect("a tag"), &edits).await),
        (4, notes.send(notes.file("POST", "a.md?restore=1")).await),
        (4, notes.send(notes.file("HEAD", "a.md")).await),
        (5, notes.send(notes.file("POST", "a.md?move=c.md")).await),
        (6, notes.send(notes.file("DELETE", "c.md").header("Sheaf-Base", "5")).await),
        (7, notes.send(notes.file("DELETE", "b.bin")).await),
    ];
    for (at, (version, answer)) in answers.into_iter().enumerate() {
        let told = (answer.header("sheaf-version"), answer.header("sheaf-epoch"));
        assert_eq!(told, (&*version.to_string(), &*epoch), "{at}: {}", answer.status);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_edit_of_a_file_that_was_moved_goes_where_it_is() {
    let server = Server::start().await;
    let notes = Client::new(&server);
    let made = notes.put("a.md", "one\n").await.json();
    notes.send(notes.file("POST", "a.md?move=d/b.md")).await;
    let base = made["version"].to_string();
    let put = notes.file("PUT", "a.md").header("Sheaf-Base", &base).body("one\ntwo\n");
    let put = notes.send(put).await;
    assert_eq!((put.status, put.json()["path"].as_str()), (200, Some("d/b.md")));
    assert_eq!(put.header("location"), "/v1/vaults/notes/files/d/b.md");
    assert_eq!(
        (put.json()["id"].clone(), notes.get("a.md").await.status),
        (made["id"].clone(), 404)
    );
    assert_eq!(notes.get("d/b.md").await.text(), "one\ntwo\n");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn edits_refer_to_one_state_and_go_in_all_or_none() {
    let server = Server::start().await;
    let notes = Client::new(&server);
    let tag = notes.written("p.md", "😀 one two three\n").await;
    let bad = json!({ "unit": "unicode", "edits": [
        { "op": "insert", "at": 0, "text": "> " },
        { "op": "delete", "at": 15, "len": 9 },
    ]});
    let answer = notes.patch("p.md", &tag, &bad).await;
    assert_eq!((answer.status, answer.code().as_str()), (400, "malformed"));
    assert_eq!(answer.json()["details"]["edit"], 1, "{}", answer.text());
    assert_eq!(notes.get("p.md").await.header("etag"), tag, "nothing of it was done");

    let without = notes.file("PATCH", "p.md").json(&bad);
    assert_eq!(notes.send(without).await.code(), "precondition_required");
    let star = notes.patch("p.md", "*", &bad).await;
    assert_eq!((star.status, star.code().as_str()), (428, "precondition_required"));

    let edits = json!({ "unit": "unicode", "edits": [
        { "op": "replace", "at": 2, "len": 3, "text": "uno" },
        { "op": "delete", "at": 5, "len": 4 },
        { "op": "insert", "at": 15, "text": "!" },
    ]});
    let edited = notes.patch("p.md", &tag, &edits).await;
    assert_eq!(edited.status, 200, "{}", edited.text());
    assert_eq!(notes.get("p.md").await.text(), "😀 uno three!\n");
    let late = notes.patch("p.md", &tag, &edits).await;
    assert_eq!(late.status, 412, "the state has moved");
    assert_eq!(late.json()["details"]["etag"], edited.header("etag"));

    for (unit, at) in [("utf16", 3), ("unicode", 2), ("utf8", 5)] {
        let tag = notes.written("p.md", "😀 x").await;
        let replace = json!({ "op": "replace", "at": at, "len": 1, "text": unit });
        let edit = json!({ "unit": unit, "edits": [replace] });
        assert_eq!(notes.patch("p.md", &tag, &edit).await.status, 200);
        assert_eq!(notes.get("p.md").await.text(), format!("😀 {unit}"));
    }
    let tag = notes.written("p.md", "😀").await;
    let inside = json!({ "unit": "utf16", "edits": [{ "op": "insert", "at": 1, "text": "x" }] });
    assert_eq!(notes.patch("p.md", &tag, &inside).await.status, 400, "inside a character");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_moves_with_its_id_and_never_onto_another() {
    let server = Server::start().await;
    let notes = Client::new(&server);
    let made = notes.put("a.md", "text\n").await.json();
    notes.written("b.md", "another\n").await;
    let taken = notes.ask("POST", "/files/a.md?move=b.md").await;
    assert_eq!((taken.status, taken.code().as_str()), (409, "path_taken"));
    assert_eq!(taken.json()["details"]["path"], "b.md");
    let alias = notes.ask("POST", "/files/a.md?move=B.MD").await;
    assert_eq!(alias.code(), "path_taken", "a disk could not tell it from b.md");
    let bad = notes.ask("POST", "/files/a.md?move=..%2Fx").await;
    assert_eq!((bad.status, bad.code().as_str()), (400, "invalid_path"));

    let moved = notes.ask("POST", "/files/a.md?move=folder%2Fc.md").await;
    assert_eq!(moved.status, 200, "{}", moved.text());
    assert_eq!(moved.json()["path"], "folder/c.md");
    assert_eq!(moved.json()["id"], made["id"]);
    assert_eq!(notes.get("a.md").await.status, 404);
    assert_eq!(notes.get("folder/c.md").await.text(), "text\n");
    assert_eq!(notes.ask("POST", "/files/a.md?move=d.md").await.status, 404);
    assert_eq!(notes.ask("POST", "/files/b.md").await.status, 400, "where to?");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_listing_goes_through_all_files_page_by_page() {
    let server = Server::start().await;
    let notes = Client::new(&server);
    let mut paths: Vec<String> = (0..12).map(|i| format!("dir/{i:02}.md")).collect();
    paths.push("other.md".to_owned());
    for path in &paths {
        notes.written(path, path).await;
    }
    let (mut found, mut after) = (Vec::new(), String::new());
    loop {
        let page = notes.ask("GET", &format!("/files?limit=5{after}")).await.json();
        for file in page["files"].as_array().expect("files") {
            assert_eq!(file["kind"], "text");
            assert!(file["version"].as_u64().expect("a number") > 0);
            assert_eq!(file["hash"].as_str().map(str::len), Some(64));
            found.push(file["path"].as_str().expect("a path").to_owned());
        }
        match page["next"].as_str() {
            Some(next) => after = format!("&after={}", next.replace('/', "%2F")),
            None => break,
        }
    }
    assert_eq!(found, paths);
    let some = notes.ask("GET", "/files?prefix=dir/0&limit=1000").await.json();
    assert_eq!(some["files"].as_array().map(Vec::len), Some(10));
    let meta = notes.ask("GET", "/files/other.md?meta=1").await.json();
    assert_eq!(meta["path"], "other.md");
    assert_eq!(meta["etag"], notes.get("other.md").await.header("etag"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn vaults_are_made_listed_and_deleted() {
    let server = Server::start().await;
    let to = server.address();
    let ask = |method: &'static str, target: &'static str| Request::new(method, target).send(to);
    let made = ask("PUT", "/v1/vaults/one").await;
    assert_eq!(made.status, 201, "{}", made.text());
    assert_eq!(ask("PUT", "/v1/vaults/one").await.status, 200);
    let info = ask("GET", "/v1/vaults/one").await.json();
    assert_eq!((info["name"].as_str(), info["files"].as_u64()), (Some("one"), Some(0)));
    let put = Request::new("PUT", "/v1/vaults/one/files/a.md").body("a").send(to).await;
    assert_eq!(put.status, 201);
    let info = ask("GET", "/v1/vaults/one").await.json();
    assert_eq!(info["files"], 1);
    let list = ask("GET", "/v1/vaults").await.json();
    assert!(list["vaults"].as_array().is_some_and(|all| all.iter().any(|it| it["name"] == "one")));
    assert_eq!(ask("DELETE", "/v1/vaults/one").await.status, 204);
    assert_eq!(ask("GET", "/v1/vaults/one").await.status, 404);
    assert_eq!(ask("GET", "/v1/vaults/one/files/a.md").await.status, 404);
    assert_eq!(ask("DELETE", "/v1/vaults/one").await.status, 404);
    let again = ask("PUT", "/v1/vaults/one").await;
    assert_eq!(again.status, 201);
    assert_ne!(again.json()["epoch"], info["epoch"], "another life");
    assert_eq!(ask("GET", "/v1/vaults/one/files/a.md").await.status, 404);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn texts_go_and_come_compressed_where_that_is_wanted() {
    let server = Server::start().await;
    let notes = Client::new(&server);
    let text = "a line of text\n".repeat(1000);
    let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
    packed.write_all(text.as_bytes()).expect("to memory");
    let packed = packed.finish().expect("to memory");
    let put = notes.file("PUT", "a.md").header("Content-Encoding", "gzip").body(packed);
    let put = notes.send(put).await;
    assert_eq!((put.status, put.json()["size"].as_u64()), (201, Some(text.len() as u64)));
    assert_eq!(notes.get("a.md").await.text(), text);

    let get = notes.file("GET", "a.md").header("Accept-Encoding", "br, gzip;q=0.5");
    let got = notes.send(get).await;
    assert_eq!((got.status, got.header("content-encoding")), (200, "gzip"));
    assert_eq!(got.header("etag"), put.header("etag"), "If-Match takes it");
    let has_vary = |(name, value): &(String, String)| name == "vary" && value == "accept-encoding";
    assert!(got.headers.iter().any(has_vary), "{:?}", got.headers);
    assert!(got.body.len() < text.len() / 20, "{} bytes", got.body.len());
    let mut unpacked = String::new();
    GzDecoder::new(&got.body[..]).read_to_string(&mut unpacked).expect("gzip");
    assert_eq!(unpacked, text);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_change_tells_the_device_that_it_came_from() {
    let server = Server::start().await;
    let notes = Client::new(&server);
    let one = "b57a77385cbd4067";
    let from = |device, request: Request| request.header("Sheaf-Device", device);
    let made = notes.send(from(one, notes.file("PUT", "a.md").body("text"))).await.json();
    let edited =
        notes.send(from("00000000000000a2", notes.file("PUT", "a.md").body("texts"))).await;
    let edits = json!({ "unit": "utf16", "edits": [{ "op": "insert", "at": 0, "text": "T" }] });
    let patch = notes.file("PATCH", "a.md").header("If-Match", edited.header("etag")).json(&edits);
    assert_eq!(notes.send(from("00000000000000a3", patch)).await.status, 200);
    let restore = notes.file("POST", &format!("a.md?restore={}", made["version"]));
    assert_eq!(notes.send(from("00000000000000a4", restore)).await.status, 200);
    let relocate = notes.file("POST", "a.md?move=d/b.md");
    assert_eq!(notes.send(from("00000000000000a5", relocate)).await.status, 200);
    let folder = notes.file("POST", "d/?move=e/");
    assert_eq!(notes.send(from("00000000000000a6", folder)).await.status, 200);
    assert_eq!(
        notes.send(from("00000000000000a7", notes.file("DELETE", "e/b.md"))).await.status,
        204
    );
    assert_eq!(notes.put("a.md", "by nobody's device").await.status, 201);

    let told = notes.ask("GET", "/activity").await.json();
    let told = told["versions"].as_array().expect("versions").iter().rev();
    let devices: Vec<_> = told.map(|item| item["device"].as_str().unwrap_or("none")).collect();
    let wanted = ["a2", "a3", "a4", "a5", "a6", "a7"].map(|end| format!("00000000000000{end}"));
    let wanted: Vec<_> = [one].into_iter().chain(wanted.iter().map(String::as_str)).collect();
    assert_eq!(devices, [&wanted[..], &["none"]].concat());
    let refused = notes.send(from("a7", notes.file("PUT", "a.md").body("text"))).await;
    assert_eq!((refused.status, refused.code().as_str()), (400, "malformed"));
}
