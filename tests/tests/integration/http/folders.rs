//! Folders, deletions that an edit wins over, and the feeds of many vaults.

use serde_json::json;
use sheaf_server::auth::role::Role;
use sheaf_server::auth::users::UserConfig;
use sheaf_server::config::Config;
use sheaf_tests::eventually::eventually_async;
use sheaf_tests::http::{Answer, Request};
use sheaf_tests::server::Server;
use sheaf_tests::socket::{Heard, Socket};

use super::{Client, ROOT, SOON, these, user, with_root};

impl Client {
    async fn version(&self, path: &str) -> u64 {
        let meta = self.send(self.file("GET", &format!("{path}?meta=1"))).await;
        meta.json()["version"].as_u64().expect("a version")
    }

    async fn listed(&self) -> Vec<String> {
        let listed = self.ask("GET", "/files").await.json();
        let files = listed["files"].as_array().expect("files").iter();
        files.map(|file| file["path"].as_str().expect("a path").to_owned()).collect()
    }

    async fn delete_at(&self, path: &str, base: u64) -> Answer {
        self.send(self.file("DELETE", path).header("Sheaf-Base", &base.to_string())).await
    }
}

/// A session that is in a document.
async fn session(server: &Server, path: &str) -> Socket {
    let url = format!("{}/v1/vaults/notes/docs/{path}", server.url());
    let mut socket = Socket::open(&url).await.expect("it connects");
    assert!(matches!(socket.hear(SOON).await, Heard::Frame(_)), "it has joined");
    socket
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_folder_moves_and_goes_with_its_sessions_and_no_other_file() {
    let server = Server::start().await;
    let notes = Client::new(&server);
    for path in ["n/1.md", "n/deep/2.md", "notes.md"] {
        notes.written(path, path).await;
    }
    let id = notes.send(notes.file("GET", "n/1.md?meta=1")).await.json()["id"].clone();
    let mut open = session(&server, "n/deep/2.md").await;
    let moved = notes.send(notes.file("POST", "n/?move=m/")).await;
    assert_eq!(moved.status, 200, "{}", moved.text());
    let told = moved.json();
    assert_eq!((&told["path"], &told["count"]), (&"m/".into(), &2.into()));
    assert_eq!((&told["version"], &told["kept"]), (&5.into(), &serde_json::json!([])));
    assert_eq!(open.end(SOON).await, Heard::Closed(1012));
    assert_eq!(notes.listed().await, ["m/1.md", "m/deep/2.md", "notes.md"]);
    assert_eq!(notes.send(notes.file("GET", "m/1.md?meta=1")).await.json()["id"], id);
    assert_eq!(notes.get("m/deep/2.md").await.text(), "n/deep/2.md");

    let mut open = session(&server, "m/1.md").await;
    let gone = notes.send(notes.file("DELETE", "m/")).await;
    assert_eq!((gone.status, &gone.json()["count"]), (200, &2.into()), "{}", gone.text());
    assert_eq!(open.end(SOON).await, Heard::Closed(4404));
    assert_eq!(notes.listed().await, ["notes.md"]);
    let twice = notes.send(notes.file("DELETE", "m/")).await;
    assert_eq!((twice.status, twice.code().as_str()), (404, "not_found"));
    // A folder is no file, and has no state of one.
    let tagged = notes.send(notes.file("DELETE", "m/").header("If-Match", "\"x\"")).await;
    assert_eq!((tagged.status, tagged.code().as_str()), (400, "malformed"));
    let escaped = notes.send(notes.file("DELETE", "m%2F")).await;
    assert_eq!((escaped.status, escaped.code().as_str()), (400, "invalid_path"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_room_whose_name_ends_with_a_slash_can_go_too() {
    let server = Server::start().await;
    let notes = Client::new(&server);
    notes.written("a.md", "x").await;
    let mut room = session(&server, "odd/").await;
    // An update, `a` by client 1 in the root `content`.
    room.send(*b"\x00\x02\x11\x01\x01\x01\x00\x04\x01\x07content\x01a\x00")
        .await
        .expect("it is sent");
    eventually_async("the room is there", SOON, async || notes.listed().await == ["a.md", "odd/"])
        .await;
    notes.written("odd/1.md", "x").await;
    let folder = notes.send(notes.file("DELETE", "odd/")).await;
    assert_eq!((folder.status, &folder.json()["count"]), (200, &1.into()));
    assert_eq!(notes.send(notes.file("DELETE", "odd/")).await.status, 204, "the room itself");
    assert_eq!(notes.send(notes.file("DELETE", "odd/")).await.status, 404);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_folder_does_not_move_where_something_is() {
    let server = Server::start().await;
    let notes = Client::new(&server);
    for path in ["n/1.md", "n/2.md", "t/2.md", "f.md"] {
        notes.written(path, path).await;
    }
    let before = notes.listed().await;
    let cases = [
        ("t/", 409, "path_taken"),
        ("T/", 409, "path_taken"),
        ("f.md/", 409, "path_taken"),
        ("n/deeper/", 400, "invalid_path"),
        ("m", 400, "invalid_path"),
        ("con/", 400, "invalid_path"),
        ("", 400, "invalid_path"),
    ];
    for (to, status, code) in cases {
        let refused = notes.send(notes.file("POST", &format!("n/?move={to}"))).await;
        assert_eq!((refused.status, refused.code().as_str()), (status, code), "{to}");
        assert_eq!(notes.listed().await, before, "{to}");
    }
    assert_eq!(notes.version("n/1.md").await, 1, "nothing has a new version");
}

/// Scenario 15.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_deleted_is_told_of_and_its_content_is_kept() {
    let server = Server::start().await;
    let notes = Client::new(&server);
    notes.written("n/a.md", "kept").await;
    let before = notes.version("n/a.md").await;
    let since = notes.ask("GET", "/changes").await.json()["cursor"].clone();
    assert_eq!(notes.send(notes.file("DELETE", "n/")).await.status, 200);
    let since = since.as_str().expect("a cursor");
    let told = notes.ask("GET", &format!("/changes?since={since}")).await.json();
    assert_eq!(told["changes"][0]["kind"], "deleted");
    assert_eq!(told["changes"][0]["file"]["path"], "n/a.md");
    assert_eq!(notes.get("n/a.md").await.status, 404);
    let was = notes.get(&format!("n/a.md?at={before}")).await;
    assert_eq!((was.status, was.text().as_str()), (200, "kept"));
}

/// Scenario 16, over HTTP.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_edit_wins_over_a_deletion_that_did_not_know_it() {
    let server = Server::start().await;
    let notes = Client::new(&server);
    notes.written("n/a.md", "first").await;
    notes.written("n/b.md", "first").await;
    let base = notes.version("n/b.md").await;
    notes.written("n/a.md", "edited").await;
    let refused = notes.delete_at("n/a.md", base).await;
    assert_eq!((refused.status, refused.code().as_str()), (409, "edit_wins"));
    let details = &refused.json()["details"];
    let live = notes.send(notes.file("GET", "n/a.md?meta=1")).await.json();
    for fact in ["version", "id", "size", "path", "etag"] {
        assert_eq!(details[fact], live[fact], "{fact}");
    }
    assert_eq!(notes.get("n/a.md").await.text(), "edited");

    let folder = notes.delete_at("n/", base).await.json();
    assert_eq!((&folder["count"], &folder["kept"][0]["path"]), (&1.into(), &"n/a.md".into()));
    assert_eq!(folder["kept"][0]["version"], live["version"]);
    assert_eq!(notes.listed().await, ["n/a.md"]);
    let known = live["version"].as_u64().expect("a version");
    let known_text = known.to_string();
    let both = notes.file("DELETE", "n/a.md").header("Sheaf-Base", &known_text);
    assert_eq!(notes.send(both.header("If-Match", "\"another\"")).await.status, 412);
    assert_eq!(notes.listed().await, ["n/a.md"]);
    assert_eq!(notes.delete_at("n/a.md", known).await.status, 204);
    assert_eq!(notes.listed().await, Vec::<String>::new());
}

/// A client that heard no answer sends the same again: it is done once, and answered as before.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stamped_change_that_comes_again_is_answered_as_before() {
    let server = Server::start().await;
    let notes = Client::new(&server);
    let stamped = |method, path: &str, last: u8| {
        notes
            .file(method, path)
            .header("Sheaf-Stamp", &format!("01ARZ3NDEKTSV4RRFFQ69G5F{last:02}"))
    };
    for path in ["a.md", "b.md", "c.md", "dir/1.md", "dir/2.md"] {
        notes.written(path, "first").await;
    }
    let tag = notes.get("c.md").await.header("etag").to_owned();
    let edits = json!({ "unit": "utf16", "edits": [{ "op": "insert", "at": 5, "text": "!" }] });
    let requests = || {
        [
            stamped("DELETE", "a.md", 1),
            stamped("POST", "b.md?move=moved.md", 2),
            stamped("PATCH", "c.md", 3).header("If-Match", &tag).json(&edits),
            stamped("DELETE", "dir/", 4),
        ]
    };
    let mut first = Vec::new();
    for request in requests() {
        let done = notes.send(request).await;
        assert!(done.status < 300, "{}", done.text());
        first.push(done);
    }
    assert_eq!(notes.get("c.md").await.text(), "first!");
    // Their paths have other files by now, and what was moved or edited is gone.
    for path in ["a.md", "b.md", "dir/1.md"] {
        notes.written(path, "another").await;
    }
    for path in ["moved.md", "c.md"] {
        assert_eq!(notes.send(notes.file("DELETE", path)).await.status, 204);
    }
    let listed = notes.listed().await;
    for (request, first) in requests().into_iter().zip(&first) {
        let again = notes.send(request).await;
        let told = |answer: &Answer| (answer.status, answer.header("sheaf-version").to_owned());
        assert_eq!(told(&again), told(first), "{}", again.text());
        for fact in ["path", "id", "version", "count"] {
            let of =
                |answer: &Answer| (!answer.body.is_empty()).then(|| answer.json()[fact].clone());
            assert_eq!(of(&again), of(first), "{fact}");
        }
    }
    assert_eq!(notes.listed().await, listed);
    let other = notes.send(stamped("DELETE", "b.md", 1)).await;
    assert_eq!((other.status, other.code().as_str()), (409, "stamp_reused"));
    assert_eq!(notes.listed().await, listed);
}

const SOME: &str = "the-token-of-somebody-111";

fn of_some_paths(config: &mut Config) {
    with_root(config);
    let paths = ["mine/", "ours/"].map(|path| path.to_owned().try_into().expect("a prefix"));
    config.users.push(UserConfig {
        paths: Some(paths.to_vec()),
        ..user("some", SOME, these(&["notes"]), Role::Write)
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_may_write_some_paths_touches_no_others() {
    let server = Server::start_with(of_some_paths).await;
    let to = server.address();
    let send = |method: &'static str, rest: &str, token: &'static str| {
        let target = format!("/v1/vaults/notes/files/{rest}");
        async move {
            let request = Request::new(method, &target).token(token);
            let request = if method == "PUT" { request.body("x") } else { request };
            request.send(to).await
        }
    };
    for path in ["mine/1.md", "mine/2.md", "mine-not/1.md", "theirs/1.md", "ours/in/1.md"] {
        assert_eq!(send("PUT", path, ROOT).await.status, 201);
    }
    for (method, rest) in [
        ("DELETE", "theirs/"),
        ("DELETE", "mine-not/"),
        ("POST", "mine/?move=theirs/"),
        ("POST", "mine/?move=min/"),
        ("POST", "theirs/?move=mine/"),
        ("DELETE", "none/"),
    ] {
        assert_eq!(send(method, rest, SOME).await.status, 403, "{method} {rest}");
    }
    let moved = send("POST", "mine/?move=ours/", SOME).await;
    assert_eq!((moved.status, &moved.json()["count"]), (200, &2.into()), "{}", moved.text());
    assert_eq!(send("DELETE", "ours/in/", SOME).await.status, 200);
    let listed = Request::new("GET", "/v1/vaults/notes/files").token(ROOT).send(to).await.json();
    let listed: Vec<&str> = listed["files"]
        .as_array()
        .expect("files")
        .iter()
        .map(|file| file["path"].as_str().expect("a path"))
        .collect();
    assert_eq!(listed, ["mine-not/1.md", "ours/1.md", "ours/2.md", "theirs/1.md"]);
}

fn cursor(page: &serde_json::Value) -> &str {
    page["cursor"].as_str().expect("a cursor")
}

/// Scenario 60.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_request_follows_many_vaults_and_names_those_that_changed() {
    let server = Server::start().await;
    let to = server.address();
    let [personal, shared] = ["personal", "shared"].map(|vault| Client { address: to, vault });
    personal.written("a.md", "a").await;
    shared.written("b.md", "b").await;
    shared.written("c.md", "c").await;
    let get = |query: String| async move {
        let answer = Request::new("GET", &format!("/v1/changes{query}")).send(to).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.json()
    };
    let all = get(String::new()).await;
    let names = |page: &serde_json::Value| -> Vec<String> {
        let vaults = page["vaults"].as_array().expect("vaults").iter();
        vaults.map(|vault| vault["vault"].as_str().expect("a name").to_owned()).collect()
    };
    assert_eq!(
        (names(&all), &all["more"]),
        (vec!["personal".into(), "shared".into()], &false.into())
    );
    let (one, two) = (cursor(&all["vaults"][0]), cursor(&all["vaults"][1]));
    let since = format!("personal:{one},shared:{two}");
    let nothing = get(format!("?since={since}&wait=0")).await;
    assert_eq!(nothing["vaults"], serde_json::json!([]));

    let poll = get(format!("?since={since}&wait=25"));
    let both = futures::future::join(poll, shared.written("d.md", "d"));
    let (page, _) = tokio::time::timeout(SOON, both).await.expect("in time");
    assert_eq!(names(&page), ["shared"], "that vault only: {page}");
    assert_eq!(page["vaults"][0]["changes"][0]["file"]["path"], "d.md");

    // What is wrong with one does not spoil the other, and is told at once.
    let since = format!("personal:1.7,shared:{two},ghost:0");
    let page = get(format!("?since={since}&wait=25")).await;
    assert_eq!(names(&page), ["ghost", "personal", "shared"]);
    let [ghost, void, good] = [0, 1, 2].map(|at| &page["vaults"][at]);
    assert_eq!(ghost["error"]["code"], "not_found");
    assert_eq!((&void["error"]["code"], &void["cursor"]), (&"cursor_expired".into(), &().into()));
    assert!(void["error"]["details"]["epoch"].is_string());
    assert_eq!((good["changes"].as_array().map(Vec::len), good.get("error")), (Some(1), None));

    // A page has so many changes at most, and each vault its share.
    let page = get("?limit=2".to_owned()).await;
    assert_eq!(
        (names(&page), &page["more"]),
        (vec!["personal".into(), "shared".into()], &true.into())
    );
    let page = get("?limit=1".to_owned()).await;
    assert_eq!((names(&page), &page["more"]), (vec!["personal".into()], &true.into()));
    for bad in ["since=a", "since=a:x", "since=a:0,a:0", "since=.:0", "wait=56", "limit=0"] {
        let answer = Request::new("GET", &format!("/v1/changes?{bad}")).send(to).await;
        assert_eq!((answer.status, answer.code().as_str()), (400, "malformed"), "{bad}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_feeds_of_others_are_nobodys() {
    let server = Server::start_with(of_some_paths).await;
    let to = server.address();
    for vault in ["notes", "other"] {
        let file = format!("/v1/vaults/{vault}/files/a.md");
        assert_eq!(Request::new("PUT", &file).token(ROOT).body("x").send(to).await.status, 201);
    }
    let get = |query: &str, token: &str| {
        let request = Request::new("GET", &format!("/v1/changes{query}"));
        let request = if token.is_empty() { request } else { request.token(token) };
        async move { request.send(to).await }
    };
    assert_eq!(get("", "").await.status, 401);
    assert_eq!(get("", ROOT).await.json()["vaults"].as_array().map(Vec::len), Some(2));
    // Who may read some paths may not read the feed of the vault.
    assert_eq!(get("", SOME).await.json()["vaults"], serde_json::json!([]));
    for vault in ["notes", "other", "ghost"] {
        let told = get(&format!("?since={vault}:0"), SOME).await.json();
        let told = &told["vaults"][0];
        assert_eq!(
            (&told["error"]["code"], &told["changes"]),
            (&"forbidden".into(), &[0; 0][..].into())
        );
    }
}
