//! The kill loop of files: writers put texts and bytes, move, delete and push files over HTTP while
//! the real process is killed with SIGKILL right behind an acknowledgement, and started again on
//! the same data.
//!
//! After each start everything that was acknowledged is there: each file as it was left, each
//! version with its content; the feed has one row for each file, with the version that the listing
//! has, and no number was given out twice. What was cut off is there as a whole or not at all, and
//! what was stamped comes again and is done once.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};
use sheaf_protocol::stamp::Stamp;
use sheaf_tests::eventually::eventually_async;
use sheaf_tests::http::{Answer, Request};
use sheaf_tests::process::{Process, binary};
use sheaf_tests::seed;
use tokio::sync::watch;
use tokio::task::JoinSet;

const KILLS: usize = 100;
const WRITERS: usize = 6;
const SOON: Duration = Duration::from_secs(20);
/// Acknowledgements of one life of the process, at most.
const ACKS_MAX: usize = 12;

/// What a path has: a text or bytes, or no file.
type State = Option<Vec<u8>>;

/// What a write leaves, by path.
type Effects = Vec<(String, State)>;

/// A file that was put with a stamp.
#[derive(Clone, Debug)]
struct Put {
    path: String,
    content: Vec<u8>,
    stamp: String,
}

impl Put {
    fn request(&self) -> Request {
        file("PUT", &self.path).header("Sheaf-Stamp", &self.stamp).body(self.content.clone())
    }
}

/// What is known of the files.
#[derive(Debug, Default)]
struct Log {
    /// Each path as it was left by the last acknowledged write.
    last: BTreeMap<String, State>,
    /// What writes under way would leave, by writer, and how they come again.
    flying: BTreeMap<usize, (Effects, Option<Put>)>,
    /// The content of each version that was acknowledged, and its path then.
    versions: BTreeMap<u64, (String, Vec<u8>)>,
    /// What was put with a stamp, and the version that it was answered with.
    stamped: Vec<(Put, u64)>,
    /// Of those the ones of this life.
    fresh: BTreeSet<u64>,
}

/// One writer, with files of its own.
struct Writer {
    number: usize,
    address: SocketAddr,
    draw: ChaCha8Rng,
    log: Arc<Mutex<Log>>,
    acks: watch::Sender<usize>,
}

fn file(method: &str, path: &str) -> Request {
    Request::new(method, &format!("/v1/vaults/notes/files/{path}"))
}

impl Writer {
    /// Writes until nobody answers any more.
    async fn run(mut self) {
        while self.step().await.is_some() {}
        self.acks.send_modify(|_| ());
    }

    async fn step(&mut self) -> Option<()> {
        let path = format!("{}/{}.md", self.number, self.draw.random_range(0..4));
        let now = self.log.lock().last.get(&path).cloned().flatten();
        let mut content = format!("{} of {path}\n", self.draw.random::<u64>()).into_bytes();
        if self.draw.random_ratio(1, 3) {
            content.insert(0, 0xff);
        }
        match (self.draw.random_range(0..12), now) {
            (0, Some(_)) => {
                self.write(file("DELETE", &path), vec![(path, None)], None).await?;
            }
            (1 | 2, Some(content)) => {
                let to = format!("{}/{}.md", self.number, self.draw.random_range(4..8));
                if self.log.lock().last.get(&to).is_some_and(Option::is_some) {
                    return Some(());
                }
                let asked = file("POST", &format!("{path}?move={to}"));
                let effects = vec![(path, None), (to.clone(), Some(content.clone()))];
                let answer = self.write(asked, effects, None).await?;
                self.acknowledged(answer.json()["version"].as_u64(), (to, content));
            }
            (3 | 4, Some(_)) => self.push(path).await?,
            (5..=8, _) => {
                let stamp = self.stamp();
                let put = Put { path: path.clone(), content: content.clone(), stamp };
                let effects = vec![(path.clone(), Some(content.clone()))];
                let answer = self.write(put.request(), effects, Some(put.clone())).await?;
                let version = answer.json()["version"].as_u64();
                self.acknowledged(version, (path, content));
                self.log.lock().stamped.push((put, version.expect("a version")));
            }
            _ => {
                let asked = file("PUT", &path).body(content.clone());
                let effects = vec![(path.clone(), Some(content.clone()))];
                let answer = self.write(asked, effects, None).await?;
                self.acknowledged(answer.json()["version"].as_u64(), (path, content));
            }
        }
        Some(())
    }

    /// One of long ago that nobody had yet.
    fn stamp(&mut self) -> String {
        let (ms, device) = (self.draw.random_range(1..1_700_000_000_000), self.draw.random());
        Stamp::new(ms, 0, device).to_string()
    }

    /// Deletes a file and puts two others, as one change.
    async fn push(&mut self, path: String) -> Option<()> {
        let mut effects = vec![(path.clone(), None)];
        let mut items = vec![json!({ "id": 0, "type": "delete_file", "path": path })];
        for one in 8..10 {
            let to = format!("{}/{one}.md", self.number);
            let text = format!("{} pushed to {to}\n", self.draw.random::<u64>());
            items.push(json!({ "id": one, "type": "upload_file", "path": to, "content": text }));
            effects.push((to, Some(text.into_bytes())));
        }
        let asked = Request::new("POST", "/v1/vaults/notes/changes");
        let asked = asked.json(&json!({ "mode": "atomic", "items": items }));
        let answer = self.write(asked, effects.clone(), None).await?.json();
        let done = answer["success"].as_array().expect("a list");
        assert_eq!(done.len(), 3, "{answer}");
        for (done, (path, content)) in done.iter().zip(effects) {
            let version = done["data"]["version"].as_u64();
            if let Some(content) = content {
                self.acknowledged(version, (path, content));
            }
        }
        Some(())
    }

    /// Sends a write; nothing if nobody answered.
    async fn write(&self, asked: Request, effects: Effects, again: Option<Put>) -> Option<Answer> {
        self.log.lock().flying.insert(self.number, (effects, again));
        let answer = asked.attempt(self.address).await?;
        assert!([200, 201, 204].contains(&answer.status), "{}", answer.text());
        let mut log = self.log.lock();
        let (effects, _) = log.flying.remove(&self.number).unwrap_or_default();
        log.last.extend(effects);
        drop(log);
        self.acks.send_modify(|acks| *acks += 1);
        Some(answer)
    }

    fn acknowledged(&self, version: Option<u64>, what: (String, Vec<u8>)) {
        let version = version.expect("a version");
        let mut log = self.log.lock();
        log.fresh.insert(version);
        let before = log.versions.insert(version, what);
        assert!(before.is_none(), "{version} was {before:?} already");
    }
}

async fn ask(process: &Process, target: &str) -> Answer {
    let asked = Request::new("GET", &format!("/v1/vaults/notes{target}"));
    let answer = asked.send(process.address()).await;
    assert!([200, 404].contains(&answer.status), "{target}: {}", answer.text());
    answer
}

/// All files with their versions.
async fn listed(process: &Process) -> BTreeMap<String, u64> {
    let list = ask(process, "/files?limit=1000").await.json();
    rows(&list["files"], |file| file).collect()
}

/// Looks at everything right after a start; what was under way is known from then on.
async fn check(process: &Process, log: &Mutex<Log>) {
    // What was cut off before its body settled settles now; until then it has no version.
    let agrees = async || {
        let files = listed(process).await;
        let feed = ask(process, "/changes?since=0&limit=1000").await.json();
        let told: BTreeMap<_, _> = rows(&feed["changes"], |change| &change["file"]).collect();
        files == told && files.values().all(|version| *version > 0)
    };
    eventually_async("the feed has a row for each file, and no other", SOON, agrees).await;
    let Log { last, flying, versions: known, fresh, stamped } = std::mem::take(&mut *log.lock());
    let mut now = BTreeMap::new();
    let flown = || flying.values().flat_map(|(effects, _)| effects);
    let paths: BTreeSet<&String> = last.keys().chain(flown().map(|(path, _)| path)).collect();
    for path in paths {
        let answer = ask(process, &format!("/files/{path}")).await;
        let state = (answer.status == 200).then_some(answer.body);
        let left = last.get(path).cloned().flatten();
        let may = flown().any(|(at, it)| at == path && *it == state);
        assert!(state == left || may, "{path} has {state:?}, not {left:?}, nor of {flying:?}");
        now.insert(path.clone(), state);
    }
    for (effects, again) in flying.values() {
        let is_done = |(path, state): &(String, State)| now[path] == *state;
        let done = effects.iter().filter(|effect| is_done(effect)).count();
        let is_left = |(path, _): &(String, State)| now[path] == last.get(path).cloned().flatten();
        let is_whole = done == effects.len() || effects.iter().all(is_left);
        assert!(is_whole, "half of {effects:?} is there: {now:?}");
        if let Some(put) = again {
            let answer = put.request().send(process.address()).await;
            assert!([200, 201].contains(&answer.status), "{}", answer.text());
            let is_new = done < effects.len();
            assert_eq!(answer.json()["changed"], is_new, "{put:?}: {}", answer.text());
            now.insert(put.path.clone(), Some(put.content.clone()));
        }
    }
    for (put, version) in stamped.iter().rev().take(3) {
        let answer = put.request().send(process.address()).await.json();
        assert_eq!((&answer["version"], &answer["changed"]), (&json!(version), &json!(false)));
    }
    for version in fresh {
        let (path, content) = &known[&version];
        // It may have been moved since, or deleted: the activity knows its versions all the same.
        let answer = ask(process, &format!("/files/{path}?at={version}")).await;
        if answer.status == 200 {
            assert_eq!(answer.body, *content, "version {version} of {path}");
        } else {
            let listed = ask(process, "/activity?limit=1000").await.text();
            assert!(listed.contains(&format!("\"version\":{version},")), "{version} of {path}");
        }
    }
    *log.lock() = Log { last: now, versions: known, stamped, ..Log::default() };
}

fn rows<'v>(
    list: &'v Value,
    file: impl Fn(&'v Value) -> &'v Value + 'v,
) -> impl Iterator<Item = (String, u64)> + 'v {
    list.as_array().expect("a list").iter().map(move |row| {
        let file = file(row);
        let path = file["path"].as_str().expect("a path").to_owned();
        (path, file["version"].as_u64().expect("a version"))
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_acknowledged_is_there_after_a_hundred_kills() {
    let seed = seed::seeds(&[])[0];
    println!("seed {seed}");
    let mut draw = seed::generator(seed);
    let data = tempfile::tempdir().expect("a folder for data");
    let mut process = Process::start(data.path()).expect("sheaf starts");
    let log = Arc::new(Mutex::new(Log::default()));
    let mut total = 0;
    for kill in 1..=KILLS {
        let mut writers = JoinSet::new();
        let acks = watch::Sender::new(0);
        for number in 0..WRITERS {
            let draw = seed::generator(draw.random());
            let (address, log, acks) = (process.address(), Arc::clone(&log), acks.clone());
            writers.spawn(Writer { number, address, draw, log, acks }.run());
        }
        let wanted = draw.random_range(1..=ACKS_MAX);
        let met = acks.subscribe().wait_for(|acks| *acks >= wanted).await.map(|acks| *acks);
        process.kill();
        total += met.expect("the writers write");
        writers.join_all().await;
        process.restart().unwrap_or_else(|error| panic!("kill {kill}: {error}"));
        check(&process, &log).await;
    }
    let log = log.lock();
    println!("{KILLS} kills, {total} acknowledged before them, {} versions", log.versions.len());
    assert!(log.versions.len() > KILLS, "too quiet a run to prove a thing");
    assert!(process.terminate().expect("it stops"), "it stops well");
    let sheaf = binary().expect("it is built");
    let verify = Command::new(sheaf).arg("verify").arg("--data").arg(data.path()).output();
    let verify = verify.expect("it runs");
    assert!(verify.status.success(), "{}", String::from_utf8_lossy(&verify.stdout));
}
