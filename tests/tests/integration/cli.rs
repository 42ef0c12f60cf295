//! The `sheaf` binary as people and scripts run it: every command, with what is right and wrong.

mod config;
mod doc;
mod metrics;
mod pages;
mod status;
mod supervisor;
mod ysweet;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use sheaf_tests::process::binary;

/// What came of a run.
#[derive(Debug)]
struct Run {
    code: Option<i32>,
    out: String,
    err: String,
}

impl Run {
    /// Fails unless the run ended with this code.
    #[track_caller]
    fn ends_with(self, code: i32) -> Run {
        assert_eq!(self.code, Some(code), "stdout: {}\nstderr: {}", self.out, self.err);
        self
    }

    #[track_caller]
    fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.out).unwrap_or_else(|_| panic!("no JSON: {}", self.out))
    }
}

/// Runs `sheaf` with these arguments, nothing on stdin and none of our variables set.
fn sheaf(arguments: &[&str]) -> Run {
    run(arguments, &[], b"")
}

/// The same with variables, and with something on stdin.
fn run(arguments: &[&str], environment: &[(&str, &str)], stdin: &[u8]) -> Run {
    let mut command = Command::new(binary().expect("the binary"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("SHEAF_") {
            command.env_remove(name);
        }
    }
    command.args(arguments).envs(environment.iter().copied());
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("it runs");
    // A command that reads no stdin may be gone before it is written.
    let _ = child.stdin.take().expect("piped").write_all(stdin);
    let output = child.wait_with_output().expect("it ends");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Run { code: output.status.code(), out: text(&output.stdout), err: text(&output.stderr) }
}

/// A file of this repository.
fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}

fn text_of(path: &str) -> String {
    let path = repository(path);
    std::fs::read_to_string(&path).unwrap_or_else(|why| panic!("{}: {why}", path.display()))
}

/// A path as an argument.
fn arg(path: &Path) -> &str {
    path.to_str().expect("paths of tests are text")
}

/// A file that its owner alone may read, as files with tokens must be.
fn private_file(dir: &Path, name: &str, text: &str) -> PathBuf {
    use std::os::unix::fs::PermissionsExt;
    let path = dir.join(name);
    std::fs::write(&path, text).expect("written");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).expect("ours");
    path
}
