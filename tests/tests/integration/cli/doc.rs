//! `sheaf doc`, on a running server and on the data directory of a stopped one: the same answers.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::Value;
use sheaf_tests::process::Process;
use sheaf_tests::socket::Socket;
use tempfile::TempDir;
use yrs::{Doc, ReadTxn, StateVector, Text, Transact};

use super::{Run, arg, private_file, run, sheaf};

/// Where the documents of a test are.
enum Place {
    Server(Process),
    Directory(TempDir),
}

impl Place {
    /// Both, each with nothing in it.
    fn both() -> [(Place, TempDir); 2] {
        let data = || tempfile::tempdir().expect("a temporary directory");
        let (kept, spare) = (data(), data());
        let process = Process::start(kept.path()).expect("it starts");
        [(Place::Server(process), kept), (Place::Directory(data()), spare)]
    }

    fn flags(&self) -> [String; 2] {
        match self {
            Place::Server(process) => ["--server".into(), format!("http://{}", process.address())],
            Place::Directory(dir) => ["--data".into(), arg(dir.path()).to_owned()],
        }
    }

    fn doc(&self, arguments: &[&str], stdin: &[u8]) -> Run {
        let [flag, value] = self.flags();
        let (command, rest) = arguments.split_first().expect("a command");
        run(&[&["doc", command, &flag, &value], rest].concat(), &[], stdin)
    }

    fn put(&self, path: &str, text: &str) {
        self.doc(&["put", path], text.as_bytes()).ends_with(0);
    }
}

fn paths(listed: &Run) -> Vec<&str> {
    listed.out.lines().collect()
}

#[test]
fn a_document_is_put_listed_read_changed_and_deleted() {
    for (place, _kept) in Place::both() {
        let text = "früh\nspät 👋\n";
        let created =
            place.doc(&["put", "plans/spring.md", "--json"], text.as_bytes()).ends_with(0);
        assert_eq!(created.json()["created"], true);
        let same = place.doc(&["put", "plans/spring.md"], text.as_bytes()).ends_with(0);
        assert_eq!(same.out, "unchanged plans/spring.md\n");
        let changed = place.doc(&["put", "plans/spring.md"], b"new\n").ends_with(0);
        assert_eq!(changed.out, "changed plans/spring.md\n");
        assert_eq!(place.doc(&["cat", "plans/spring.md"], b"").ends_with(0).out, "new\n");
        place.put("other.md", "");

        let listed = place.doc(&["ls"], b"").ends_with(0);
        assert_eq!(paths(&listed), ["other.md", "plans/spring.md"]);
        assert_eq!(paths(&place.doc(&["ls", "plans/"], b"").ends_with(0)), ["plans/spring.md"]);
        let long = place.doc(&["ls", "--long", "plans/"], b"").ends_with(0).out;
        assert!(long.contains("text") && long.contains("Z  plans/spring.md"), "{long}");
        let json = place.doc(&["ls", "--json", "plans/"], b"").ends_with(0).json();
        assert_eq!((&json["size"], &json["kind"]), (&4.into(), &"text".into()), "{json}");

        place.doc(&["rm", "other.md"], b"").ends_with(0);
        let gone = place.doc(&["rm", "plans/spring.md", "other.md"], b"").ends_with(3);
        assert!(gone.out.contains("1 deleted") && gone.err.contains("other.md"), "{gone:?}");
        assert_eq!(paths(&place.doc(&["ls"], b"").ends_with(0)), [""; 0]);
        assert_eq!(place.doc(&["cat", "other.md"], b"").code, Some(1));
    }
}

#[test]
fn a_write_can_be_bound_to_a_state() {
    for (place, _kept) in Place::both() {
        place.doc(&["put", "a.md", "--if-new"], b"one").ends_with(0);
        place.doc(&["put", "a.md", "--if-new"], b"two").ends_with(1);
        let listed = place.doc(&["ls", "--json"], b"").ends_with(0).json();
        let etag = listed["etag"].as_str().expect("text").to_owned();
        place.doc(&["put", "a.md", "--if-match", &etag], b"two").ends_with(0);
        place.doc(&["put", "a.md", "--if-match", &etag], b"three").ends_with(1);
        assert_eq!(place.doc(&["cat", "a.md"], b"").out, "two");
    }
}

#[test]
fn vaults_are_kept_apart() {
    for (place, _kept) in Place::both() {
        place.doc(&["put", "--vault", "team", "a.md"], b"ours").ends_with(0);
        place.put("b.md", "mine");
        assert_eq!(paths(&place.doc(&["ls"], b"")), ["b.md"]);
        assert_eq!(paths(&place.doc(&["ls", "--vault", "team"], b"")), ["a.md"]);
        place.doc(&["cat", "--vault", "team", "b.md"], b"").ends_with(1);
        place.doc(&["ls", "--vault", "a/b"], b"").ends_with(2);
    }
}

#[test]
fn what_is_no_text_is_refused() {
    for (place, _kept) in Place::both() {
        assert!(place.doc(&["put", "a.md"], b"\xff").ends_with(1).err.contains("UTF-8"));
        place.doc(&["put", "a.md"], b"a\0b").ends_with(1);
        place.doc(&["put", "a.md", "/nowhere/file"], b"").ends_with(1);
        let bad = place.doc(&["put", "a/../b"], b"x").ends_with(1);
        assert!(!bad.err.is_empty());
        assert_eq!(paths(&place.doc(&["ls"], b"")), [""; 0]);
    }
}

/// A folder with what people have in folders.
fn folder(dir: &Path) {
    std::fs::create_dir_all(dir.join("plans/deep")).expect("made");
    std::fs::create_dir_all(dir.join(".git")).expect("made");
    for (name, bytes) in [
        ("a.md", &b"one"[..]),
        ("plans/spring.md", b"two\r\n"),
        ("plans/deep/\u{fc}.md", b"three"),
        ("plans/u\u{308}.md", b"a name in another normal form"),
        ("empty.txt", b""),
        ("picture.png", b"\x89PNG\0"),
        ("latin.txt", b"fr\xfch"),
        ("bad:name.md", b"x"),
        (".git/config", b"hidden"),
    ] {
        std::fs::write(dir.join(name), bytes).expect("written");
    }
    std::os::unix::fs::symlink("/etc/passwd", dir.join("link.md")).expect("a link");
    std::os::unix::fs::symlink("/etc", dir.join("linked")).expect("a link");
}

fn skipped(report: &Value) -> BTreeSet<&str> {
    let skipped = report["skipped"].as_array().expect("a list").iter();
    skipped.map(|it| it["path"].as_str().expect("text")).collect()
}

#[test]
fn a_folder_is_imported_and_exported_again() {
    for (place, spare) in Place::both() {
        let from = spare.path().join("from");
        folder(&from);
        let imported = place.doc(&["import", arg(&from), "--json"], b"").ends_with(3).json();
        assert_eq!(
            (&imported["created"], &imported["hidden"]),
            (&5.into(), &1.into()),
            "{imported}"
        );
        let left = ["bad:name.md", "latin.txt", "link.md", "linked", "picture.png"];
        assert_eq!(skipped(&imported), left.into());
        let again = place.doc(&["import", arg(&from)], b"").ends_with(3);
        assert!(again.out.contains("5 unchanged") && again.err.contains("latin.txt"), "{again:?}");
        std::fs::write(from.join("a.md"), "changed").expect("written");
        let kept = place.doc(&["import", arg(&from), "--keep", "--json"], b"").json();
        assert_eq!(kept["unchanged"], 5, "{kept}");
        assert_eq!(place.doc(&["cat", "a.md"], b"").out, "one");
        let tried = place.doc(&["import", arg(&from), "--dry-run", "--prefix", "x"], b"");
        assert!(tried.ends_with(3).err.contains("x/latin.txt"));

        let to = spare.path().join("to");
        let exported = place.doc(&["export", arg(&to)], b"").ends_with(0);
        assert!(exported.out.contains("5 exported"), "{exported:?}");
        for (name, text) in [("a.md", "one"), ("plans/spring.md", "two\r\n"), ("empty.txt", "")] {
            assert_eq!(std::fs::read_to_string(to.join(name)).expect("there"), text, "{name}");
        }
        place.doc(&["export", arg(&to)], b"").ends_with(2);
        place.doc(&["export", arg(&to), "--force"], b"").ends_with(0);
        place.doc(&["import", "/nowhere"], b"").ends_with(1);
    }
}

/// Makes documents that only sockets can name.
async fn hostile(process: &Process, names: &[&str]) {
    for name in names {
        let escaped: String = name.bytes().map(|byte| format!("%{byte:02X}")).collect();
        let mut socket = Socket::open(&format!("{}/{escaped}", process.url())).await.expect("open");
        let doc = Doc::new();
        let text = doc.get_or_insert_text("content");
        text.insert(&mut doc.transact_mut(), 0, "x");
        let update = doc.transact().encode_state_as_update_v1(&StateVector::default());
        let mut bytes = Vec::new();
        sheaf_protocol::frame::write_update(&mut bytes, &update);
        sheaf_protocol::frame::write_echo(&mut bytes, b"");
        socket.send(bytes).await.expect("sent");
        let is_echo = |heard: &[u8]| heard.first() == Some(&102);
        socket.hear_until(std::time::Duration::from_secs(20), is_echo).await.expect("durable");
        socket.close().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn names_that_are_no_paths_are_exported_under_others_and_never_outside() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let data = dir.path().join("data");
    let mut process = Process::start(&data).expect("it starts");
    let names = ["../up.md", "/etc/x", "a//b", "CON", "A.md", "a.md", "line\nbreak"];
    hostile(&process, &names).await;
    let server = format!("http://{}", process.address());
    for place in [["--server", server.as_str()], ["--data", arg(&data)]] {
        if place[0] == "--data" {
            assert!(process.terminate().expect("running"), "{}", process.said());
        }
        let to = dir.path().join(format!("to{}", place[0]));
        let export = [&["doc", "export"], &place[..], &[arg(&to), "--json"]].concat();
        let report = sheaf(&export).ends_with(0).json();
        assert_eq!(report["exported"], names.len(), "{report}");
        assert_eq!(report["renamed"].as_array().map_or(0, Vec::len), 6, "{report}");
        assert!(!dir.path().join("up.md").exists(), "not outside");
        let files = std::fs::read_dir(&to).expect("there").count();
        assert_eq!(files, names.len(), "each has a file of its own");
    }
}

#[test]
fn where_the_documents_are_is_said_and_never_guessed() {
    let none = sheaf(&["doc", "ls"]).ends_with(2);
    assert!(none.err.contains("--server") && none.err.contains("--data"), "{}", none.err);
    sheaf(&["doc", "ls", "--server", "http://127.0.0.1:1", "--data", "/tmp"]).ends_with(2);
    let nothing = sheaf(&["doc", "ls", "--data", "/nowhere"]).ends_with(2);
    assert!(nothing.err.contains("no data directory"), "{}", nothing.err);
    let nobody = sheaf(&["doc", "ls", "--server", "http://127.0.0.1:1"]).ends_with(1);
    assert!(nobody.err.contains("is it running?"), "{}", nobody.err);
    // A flag wins over the variable.
    let environment = [("SHEAF_SERVER", "http://127.0.0.1:1")];
    let flagged = run(&["doc", "ls", "--data", "/nowhere"], &environment, b"").ends_with(2);
    assert!(flagged.err.contains("/nowhere"), "{}", flagged.err);
}

#[test]
fn a_data_directory_in_use_is_left_alone() {
    let data = tempfile::tempdir().expect("a temporary directory");
    let _process = Process::start(data.path()).expect("it starts");
    for command in [&["ls"][..], &["cat", "a.md"], &["put", "a.md"], &["rm", "a.md"]] {
        let (command, rest) = command.split_first().expect("a command");
        let arguments = [&["doc", command, "--data", arg(data.path())], rest].concat();
        let refused = sheaf(&arguments).ends_with(1);
        assert!(refused.err.contains("in use"), "{}", refused.err);
    }
}

#[test]
fn a_token_decides_what_a_command_may_do() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let users = "[[users]]\nname = \"ada\"\ntoken = \"write-write-write-write\"\nrole = \"write\"\n\
                 vaults = [\"team\"]\n";
    let config = private_file(dir.path(), "sheaf.toml", users);
    let data = dir.path().join("data");
    let process = Process::start_with(&data, &["--config", arg(&config)]).expect("it starts");
    let url = format!("http://{}", process.address());
    let token = private_file(dir.path(), "token", "write-write-write-write\n");
    let put = ["doc", "put", "--server", &url, "a.md"];
    assert!(run(&put, &[], b"x").ends_with(1).err.contains("--token-file"));
    let with = ["--token-file", arg(&token), "--vault"];
    run(&[&put[..], &with, &["team"]].concat(), &[], b"x").ends_with(0);
    run(&[&put[..], &with, &["other"]].concat(), &[], b"x").ends_with(1);
    let variable = [("SHEAF_TOKEN_FILE", arg(&token))];
    let read = run(&["doc", "cat", "--server", &url, "--vault", "team", "a.md"], &variable, b"");
    assert_eq!(read.ends_with(0).out, "x");
}

#[test]
fn a_copy_of_a_stopped_server_s_data_is_a_backup() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let (data, copy) = (dir.path().join("data"), dir.path().join("copy"));
    let mut process = Process::start(&data).expect("it starts");
    let url = format!("http://{}", process.address());
    for (path, text) in [("a.md", "one"), ("plans/b.md", "two")] {
        run(&["doc", "put", "--server", &url, path], &[], text.as_bytes()).ends_with(0);
    }
    assert!(process.terminate().expect("running"), "{}", process.said());
    let copied = std::process::Command::new("cp").arg("-a").args([&data, &copy]).status();
    assert!(copied.expect("cp is there").success());
    // What happens after the copy is not in it.
    sheaf(&["doc", "rm", "--data", arg(&data), "a.md"]).ends_with(0);

    sheaf(&["verify", "--data", arg(&copy)]).ends_with(0);
    assert_eq!(sheaf(&["doc", "cat", "--data", arg(&copy), "a.md"]).ends_with(0).out, "one");
    let restored = Process::start(&copy).expect("it starts on the copy");
    let url = format!("http://{}", restored.address());
    let read = sheaf(&["doc", "cat", "--server", &url, "plans/b.md"]);
    assert_eq!(read.ends_with(0).out, "two");
}
