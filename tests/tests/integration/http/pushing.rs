//! Many operations on files in one request.

use serde_json::{Value, json};
use sheaf_server::auth::role::Role;
use sheaf_server::config::Config;
use sheaf_tests::http::{Answer, Request};
use sheaf_tests::server::Server;

use super::{Client, ROOT, these, user, with_root};

const DEVICE: &str = "b57a77385cbd4067";
/// Of long ago, which no clock minds.
const STAMPS: [&str; 3] =
    ["019VE2TSC0009BAYKQ71EBTG37", "019VE2TSC0009BAYKQ71EBTG38", "019VE2TSC0009BAYKQ71EBTG39"];

impl Client {
    async fn push(&self, body: &Value) -> Answer {
        let target = format!("/v1/vaults/{}/changes", self.vault);
        self.send(Request::new("POST", &target).header("Sheaf-Device", DEVICE).json(body)).await
    }

    async fn pushed(&self, mode: &str, items: Value) -> Value {
        let answer = self.push(&json!({ "mode": mode, "items": items })).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.json()
    }
}

/// What an answer says of each operation, by the names that the client gave them.
fn outcome(result: &Value) -> [Vec<Value>; 3] {
    ["success", "failures", "blocked"].map(|kind| {
        let of = result[kind].as_array().expect("a list").iter();
        of.map(|it| it["id"].clone()).collect()
    })
}

fn upload(id: &str, path: &str, content: &str) -> Value {
    json!({ "id": id, "type": "upload_file", "path": path, "content": content })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn operations_are_carried_out_in_order_up_to_the_first_that_fails() {
    let server = Server::start().await;
    let notes = Client::new(&server);
    // The vault is made by who may write.
    let result = notes
        .pushed(
            "ordered",
            json!([
                upload("a", "a.md", "one\n"),
                { "id": 7, "type": "upload_file", "path": "b.bin", "content": "/wA=",
                    "encoding": "base64" },
                { "id": "c", "type": "move_file", "path": "a.md", "to": "d/a.md" },
                { "id": "d", "type": "delete_file", "path": "b.bin" },
                { "id": "e", "type": "delete_file", "path": "none.md" },
                upload("f", "f.md", "never"),
            ]),
        )
        .await;
    let [success, failures, blocked] = outcome(&result);
    assert_eq!(success, [json!("a"), json!(7), json!("c"), json!("d")], "{result}");
    assert_eq!((failures, blocked), (vec![json!("e")], vec![json!("f")]), "{result}");
    assert_eq!(result["failures"][0]["error"]["code"], "FILE_NOT_FOUND");
    assert_eq!(result["version"], 4);
    let first = &result["success"][0];
    assert_eq!((&first["sync_ids"], &first["data"]["created"]), (&json!([1]), &json!(true)));
    assert_eq!(first["item_id"], first["data"]["id"]);
    assert_eq!(notes.get("d/a.md").await.text(), "one\n");
    assert_eq!(notes.get("f.md").await.status, 404);
    let versions = notes.send(notes.file("GET", "d/a.md?versions=1")).await.json();
    assert_eq!(versions["versions"][0]["device"], DEVICE, "{versions}");
    let feed = notes.ask("GET", "/changes").await.json();
    let told: Vec<u64> =
        feed["changes"].as_array().unwrap().iter().map(|it| it["seq"].as_u64().unwrap()).collect();
    assert_eq!(told, [3], "of those that live each once, at its latest");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_atomic_push_is_done_as_a_whole_or_not_at_all() {
    let server = Server::start().await;
    let notes = Client::new(&server);
    notes.written("old.md", "old\n").await;
    let items = |last: Value| {
        json!([
            upload("new", "new.md", "new\n"),
            { "id": "move", "type": "move_file", "path": "old.md", "to": "kept.md" },
            last,
        ])
    };
    let bad = json!({ "id": "bad", "type": "delete_file", "path": "none.md" });
    let [success, failures, blocked] = outcome(&notes.pushed("atomic", items(bad)).await);
    assert_eq!((success, failures), (vec![], vec![json!("bad")]));
    assert_eq!(blocked, [json!("new"), json!("move")]);
    assert_eq!(notes.get("new.md").await.status, 404);
    assert_eq!(notes.get("old.md").await.text(), "old\n");
    let result = notes.pushed("atomic", items(upload("more", "more.md", "more\n"))).await;
    assert_eq!(outcome(&result)[0].len(), 3, "{result}");
    assert_eq!(notes.get("kept.md").await.text(), "old\n");
    assert_eq!(notes.get("more.md").await.text(), "more\n");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_push_whose_answer_was_lost_is_sent_again_and_changes_nothing() {
    let server = Server::start().await;
    let notes = Client::new(&server);
    for (mode, stamp) in ["ordered", "independent", "atomic"].into_iter().zip(STAMPS) {
        let path = format!("{mode}.md");
        let mut stamped = upload("a", &path, "text\n");
        stamped["stamp"] = json!(stamp);
        let items = json!([stamped, upload("b", "other.md", mode)]);
        let first = notes.pushed(mode, items.clone()).await;
        notes.written(&path, "edited since\n").await;
        let again = notes.pushed(mode, items).await;
        let version = |result: &Value| result["success"][0]["data"]["version"].clone();
        assert!(version(&first).is_u64(), "{first}");
        assert_eq!(version(&first), version(&again), "{mode}: {again}");
        assert_eq!(notes.get(&path).await.text(), "edited since\n", "{mode}");
    }
}

fn configure(config: &mut Config) {
    with_root(config);
    config.users.push(user("reader", "the-token-of-the-reader-1", these(&["notes"]), Role::Read));
    config.limits.message_bytes_max = 64 << 10;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_may_only_read_is_refused_each_operation_and_learns_nothing_of_others_vaults() {
    let server = Server::start_with(configure).await;
    let to = server.address();
    let body = json!({ "items": [upload("a", "a.md", "x")] });
    let push = |vault: &str, token: &str| {
        let target = format!("/v1/vaults/{vault}/changes");
        Request::new("POST", &target).token(token).json(&body)
    };
    assert_eq!(push("notes", ROOT).send(to).await.status, 200);
    let refused = push("notes", "the-token-of-the-reader-1").send(to).await;
    assert_eq!(refused.status, 200, "{}", refused.text());
    assert_eq!(refused.json()["failures"][0]["error"]["code"], "READ_ONLY");
    for vault in ["ghost", "secret"] {
        let refused = push(vault, "the-token-of-the-reader-1").send(to).await;
        assert_eq!((refused.status, refused.code().as_str()), (403, "forbidden"), "{vault}");
    }
    assert_eq!(Request::new("GET", "/v1/vaults/ghost").token(ROOT).send(to).await.status, 404);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_push_is_refused_with_the_field_and_what_is_too_much_with_the_bound() {
    let server = Server::start_with(configure).await;
    let to = server.address();
    let push = |body: Vec<u8>| {
        Request::new("POST", "/v1/vaults/notes/changes").token(ROOT).body(body).send(to)
    };
    for (body, field) in [
        (json!({ "mode": "ordered" }), "items"),
        (json!({ "items": [{ "id": 1, "type": "delete_file" }] }), "items[0].path"),
        (json!({ "items": [{ "id": 1, "type": "eat_file", "path": "a" }] }), "items[0].type"),
        (json!({ "items": [], "mode": "perhaps" }), "mode"),
        (json!({ "items": [{ "id": 1.5, "type": "delete_file", "path": "a" }] }), "items[0].id"),
    ] {
        let refused = push(body.to_string().into()).await;
        assert_eq!((refused.status, refused.code().as_str()), (400, "invalid_message"), "{body}");
        assert_eq!(refused.json()["details"]["field"], field, "{}", refused.text());
    }
    for body in ["", "[]", "{\"items\":[]} x"] {
        let refused = push(body.into()).await;
        assert_eq!((refused.status, refused.code().as_str()), (400, "invalid_message"), "{body}");
    }
    let item = json!({ "id": 1, "type": "delete_file", "path": "a" });
    let most: Vec<&Value> = vec![&item; 1_000];
    let answer = push(json!({ "items": most }).to_string().into()).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let more: Vec<&Value> = vec![&item; 1_001];
    let refused = push(json!({ "items": more }).to_string().into()).await;
    assert_eq!((refused.status, refused.code().as_str()), (413, "batch_too_large"));
    assert_eq!(refused.json()["details"], json!({ "max": 1_000, "count": 1_001 }));
    let long = json!({ "items": [upload("a", "a.md", &"x".repeat(64 << 10))] });
    let refused = push(long.to_string().into()).await;
    assert_eq!((refused.status, refused.code().as_str()), (413, "too_large"));
}
