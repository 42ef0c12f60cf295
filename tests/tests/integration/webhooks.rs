//! Webhooks of the real process: what a receiver gets over kills, and that receivers in other
//! languages find the signatures right with the very code of `docs/webhooks.md`.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use sheaf_client::replica::{Options, Replica};
use sheaf_tests::eventually::eventually;
use sheaf_tests::process::Process;
use sheaf_tests::receiver::{Delivery, Receiver};
use tempfile::TempDir;

/// How long a machine that is busy with other tests may take for anything.
const SOON: Duration = Duration::from_secs(60);
const SECRET: &str = "whsec_c2l4dGVlbiBieXRlcyBhcmUgdG9vIGZldyBoZXJl";

/// A configuration file with one webhook, and a place for data beside it.
fn set_up(receiver: &Receiver) -> (TempDir, PathBuf) {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("sheaf.toml");
    let text = format!(
        "[[webhooks]]\nname = \"test\"\nurl = \"{}\"\nsecret = \"{SECRET}\"\ndebounce_ms = 100\n",
        receiver.url()
    );
    std::fs::write(&path, text).expect("written");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).expect("ours");
    (dir, path)
}

fn start(dir: &TempDir, config: &Path) -> Process {
    let config = config.to_str().expect("a path of ours is text");
    Process::start_with(&dir.path().join("data"), &["--config", config]).expect("it starts")
}

/// One more line in a document, durable when it returns.
async fn write(process: &Process, document: &str) {
    let replica = Replica::connect(Options::new(process.url(), document));
    replica.synced(SOON).await.expect("synced");
    replica.insert(0, "a line\n").expect("inserted");
    replica.durable(SOON).await.expect("durable");
}

fn of_document(got: &[Delivery], path: &str) -> Vec<Delivery> {
    let is_of = |delivery: &&Delivery| delivery.json()["document"]["path"] == path;
    got.iter().filter(is_of).cloned().collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_told_just_before_a_kill_is_told_again_and_nothing_is_lost() {
    let receiver = Receiver::start().expect("a port");
    let (dir, config) = set_up(&receiver);
    let mut process = start(&dir, &config);
    const ROUNDS: usize = 5;
    for round in 0..ROUNDS {
        let document = format!("round-{round}");
        write(&process, &document).await;
        eventually("the document is told", SOON, || {
            !of_document(&receiver.got(), &document).is_empty()
        })
        .await;
        // The place is stored a second later than this.
        process.kill();
        process.restart().expect("it starts again");
        write(&process, "always").await;
        process.kill();
        process.restart().expect("it starts again");
    }
    let is_all_told = || {
        let always = of_document(&receiver.got(), "always");
        always.iter().any(|one| one.json()["document"]["size"] == 7 * ROUNDS)
    };
    eventually("the last state of all", SOON, is_all_told).await;
    let mut told: BTreeMap<String, Vec<Delivery>> = BTreeMap::new();
    for delivery in receiver.got() {
        told.entry(delivery.id().to_owned()).or_default().push(delivery);
    }
    for same in told.values() {
        assert!(same.iter().all(|one| one.body == same[0].body), "one id, one body");
    }
    let repeated = told.values().filter(|same| same.len() > 1).count();
    println!("{} events, {repeated} of them more than once", told.len());
    assert!(repeated > 0, "no kill came between a delivery and its place");
    for round in 0..ROUNDS {
        let of_round = of_document(&receiver.got(), &format!("round-{round}"));
        assert_eq!(of_round[0].json()["type"], "document.created");
    }
    assert!(process.terminate().expect("it runs"), "it stops in order");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_code_of_the_documentation_verifies_what_is_sent() {
    let receiver = Receiver::start().expect("a port");
    let (dir, config) = set_up(&receiver);
    let process = start(&dir, &config);
    write(&process, "plans/é.md").await;
    let types = ["session.joined", "document.created", "session.left"];
    eventually("all three events", SOON, || {
        let got = receiver.got();
        types.iter().all(|wanted| got.iter().any(|one| one.json()["type"] == *wanted))
    })
    .await;
    let deliveries: Vec<_> = receiver
        .got()
        .iter()
        .map(|one| {
            let body = std::str::from_utf8(&one.body).expect("JSON is UTF-8");
            serde_json::json!({ "headers": one.headers, "body": body })
        })
        .collect();
    let case = serde_json::json!({ "secret": SECRET, "deliveries": deliveries }).to_string();
    let dir = tempfile::tempdir().expect("a folder");
    std::fs::write(dir.path().join("case.json"), case).expect("written");
    let write = |name: &str, language: &str, check: &str| {
        let path = dir.path().join(name);
        std::fs::write(&path, format!("{}\n{check}", snippet(language))).expect("written");
        path
    };
    let node = write("check.mjs", "js", NODE_CHECK);
    let python = write("check.py", "python", PYTHON_CHECK);
    for (program, script) in [("node", node), ("python3", python)] {
        let ran = Command::new(program).arg(&script).current_dir(dir.path()).output();
        let ran = ran.unwrap_or_else(|error| panic!("{program}: {error}"));
        let said = String::from_utf8_lossy(&ran.stdout);
        let failed = String::from_utf8_lossy(&ran.stderr);
        assert_eq!(said.trim(), "verified", "{program}: {failed}");
    }
}

/// The one block of this language in the page.
fn snippet(language: &str) -> String {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/webhooks.md");
    let page = std::fs::read_to_string(page).expect("the page is there");
    let start = format!("```{language}\n");
    let (_, rest) = page.split_once(&start).expect("it has such a block");
    rest.split_once("```").expect("a block ends").0.to_owned()
}

const NODE_CHECK: &str = r#"
import { readFileSync } from "node:fs";
const { secret, deliveries } = JSON.parse(readFileSync("case.json", "utf8"));
const other = "whsec_" + Buffer.alloc(32).toString("base64");
const later = Date.now() / 1000 + 400;
const holds = deliveries.every(({ headers, body }) =>
  isGenuine(secret, headers, body) &&
  !isGenuine(secret, headers, body + " ") &&
  !isGenuine(other, headers, body) &&
  !isGenuine(secret, headers, body, later) &&
  !isGenuine(secret, { ...headers, "webhook-id": "msg_other" }, body) &&
  !isGenuine(secret, { ...headers, "webhook-signature": "v1," }, body) &&
  !isGenuine(secret, {}, body));
console.log(holds && deliveries.length >= 3 ? "verified" : "refused");
"#;

const PYTHON_CHECK: &str = r#"
import json

with open("case.json", encoding="utf-8") as file:
    case = json.load(file)
secret = case["secret"]
other = "whsec_" + base64.b64encode(bytes(32)).decode()
later = time.time() + 400
holds = len(case["deliveries"]) >= 3
for delivery in case["deliveries"]:
    headers, body = delivery["headers"], delivery["body"].encode()
    holds = holds and is_genuine(secret, headers, body)
    holds = holds and not is_genuine(secret, headers, body + b" ")
    holds = holds and not is_genuine(other, headers, body)
    holds = holds and not is_genuine(secret, headers, body, later)
    holds = holds and not is_genuine(secret, {**headers, "webhook-id": "msg_other"}, body)
    holds = holds and not is_genuine(secret, {**headers, "webhook-signature": "v1,"}, body)
    holds = holds and not is_genuine(secret, {}, body)
print("verified" if holds else "refused")
"#;
