//! `sheaf status` and the endpoint behind it.

use sheaf_tests::process::Process;

use super::{arg, private_file, run, sheaf};

const USERS: &str = "\
[[users]]\nname = \"root\"\ntoken = \"admin-admin-admin-admin\"\nrole = \"admin\"\n\
[[users]]\nname = \"ada\"\ntoken = \"write-write-write-write\"\nrole = \"write\"\n\
[[users]]\nname = \"eve\"\ntoken = \"team-team-team-team-team\"\nrole = \"admin\"\n\
vaults = [\"team\"]\n";

fn url(process: &Process) -> String {
    format!("http://{}", process.address())
}

#[test]
fn one_look_tells_figures_that_are_right() {
    let data = tempfile::tempdir().expect("a temporary directory");
    let process = Process::start(data.path()).expect("it starts");
    let url = url(&process);
    run(&["doc", "put", "--server", &url, "a.md", "-"], &[], b"one").ends_with(0);
    let status = sheaf(&["status", "--server", &url, "--json"]).ends_with(0).json();
    assert_eq!((&status["ready"], &status["documents"]["loaded"].is_u64()), (&true.into(), &true));
    assert_eq!(status["version"], env!("CARGO_PKG_VERSION"));
    assert!(status["journal"]["durable"].as_u64().expect("a number") > 0, "{status}");
    assert!(status["disk"]["data_bytes"].as_u64().expect("a number") > 0, "{status}");
    assert_eq!(status["journal"]["is_read_only"], false);

    let once = sheaf(&["status", "--server", &url, "--once"]).ends_with(0).out;
    let plain = sheaf(&["status", "--server", &url]).ends_with(0).out;
    for label in ["ready", "sessions", "documents", "lag", "disk", "memory"] {
        assert!(once.contains(label) && plain.contains(label), "{label} is not in {once}");
    }
    assert!(!once.contains('\u{1b}'), "no terminal, no colours: {once}");
    sheaf(&["status", "--server", &url, "--ready"]).ends_with(0);
    let named = run(&["status", "--ready"], &[("SHEAF_SERVER", &url)], b"").ends_with(0);
    assert_eq!(named.out, "ready\n");
}

#[test]
fn where_nothing_answers_it_says_what_to_look_at() {
    // Port 1 is nobody's.
    for arguments in [&["--once"][..], &["--json"], &["--ready"]] {
        let arguments = [&["status", "--server", "http://127.0.0.1:1"], arguments].concat();
        let run = sheaf(&arguments).ends_with(1);
        assert!(run.err.contains("is it running?"), "{}", run.err);
    }
    sheaf(&["status", "--server", "127.0.0.1:1"]).ends_with(2);
}

#[test]
fn only_an_admin_of_all_vaults_is_told() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let config = private_file(dir.path(), "sheaf.toml", USERS);
    let data = dir.path().join("data");
    let process = Process::start_with(&data, &["--config", arg(&config)]).expect("it starts");
    let url = url(&process);
    let look = ["status", "--server", &url, "--json"];
    let none = sheaf(&look).ends_with(1);
    assert!(none.err.contains("--token-file"), "{}", none.err);
    for (token, code) in [
        ("admin-admin-admin-admin", 0),
        ("write-write-write-write", 1),
        ("team-team-team-team-team", 1),
        ("nobody-nobody-nobody-nob", 1),
    ] {
        let by_variable = run(&look, &[("SHEAF_TOKEN", token)], b"").ends_with(code);
        assert!(!by_variable.err.contains(token), "a token is never printed");
        let file = private_file(dir.path(), "token", &format!("{token}\n"));
        sheaf(&[&look[..], &["--token-file", arg(&file)]].concat()).ends_with(code);
    }
    sheaf(&["status", "--server", &url, "--ready"]).ends_with(0);
    sheaf(&[&look[..], &["--token-file", "/nowhere"]].concat()).ends_with(2);
}
