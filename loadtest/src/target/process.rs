//! A server's process: started on its core with a port and a folder of its own, waited for, ended
//! by its id.

use std::fs::{self, File};
use std::io;
use std::net::TcpListener;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, bail};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};

use super::cores::Cores;
use crate::outcome::Dialect;

/// Node servers with a database take a second or two on a busy machine.
const START_TIME_MAX: Duration = Duration::from_secs(30);
const LOOK_EVERY: Duration = Duration::from_millis(2);
/// A server that took the connection and says nothing is asked again after this.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(2);
/// How much of what a server said is told when it does not start.
const SAID_BYTES_MAX: usize = 2_000;

/// A server's process. Dropping it ends it.
#[derive(Debug)]
pub(super) struct Process {
    words: Vec<String>,
    cores: Cores,
    pub(super) port: u16,
    /// Goes away with the process, at the end.
    dir: TempDir,
    child: Option<Child>,
}

impl Process {
    /// Starts a command in a fresh folder of `data`.
    pub(super) fn start(words: &[String], cores: Cores, data: &Path) -> anyhow::Result<Self> {
        let dir = tempfile::Builder::new().prefix("loadtest-").tempdir_in(data);
        let dir = dir.with_context(|| format!("making a folder in {}", data.display()))?;
        // Free now; nobody else asks for it in the moment until the server does.
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let mut process = Self { words: words.to_vec(), cores, port, dir, child: None };
        process.launch()?;
        Ok(process)
    }

    pub(super) fn id(&self) -> Option<u32> {
        self.child.as_ref().map(Child::id)
    }

    /// Starts it, on its port and in its folder, as often as it was ended.
    pub(super) fn launch(&mut self) -> anyhow::Result<()> {
        anyhow::ensure!(self.child.is_none(), "it is still running");
        let folder = self.dir.path().join("data");
        fs::create_dir_all(&folder)?;
        let folder = folder.to_str().context("the folder's name is not UTF-8")?;
        let filled =
            |word: &String| word.replace("{port}", &self.port.to_string()).replace("{dir}", folder);
        let words: Vec<String> = self.words.iter().map(filled).collect();
        let said = File::options().create(true).append(true).open(self.said())?;
        let mut command = Command::new(&words[0]);
        // A group of its own, so that what it starts ends with it.
        command.args(&words[1..]).process_group(0).stdin(Stdio::null());
        command.stdout(said.try_clone()?).stderr(said);
        command.env("PORT", self.port.to_string()).env("HOST", "127.0.0.1");
        // What configures a Sheaf of this shell is none of this one's business.
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("SHEAF_") {
                command.env_remove(name);
            }
        }
        // Not in the folder given: paths in commands are meant from here.
        let child = self.cores.started(|| command.spawn());
        self.child = Some(child.with_context(|| format!("starting {}", words[0]))?);
        Ok(())
    }

    /// Waits until it upgrades a connection.
    pub(super) async fn await_ready(&mut self, dialect: Dialect) -> anyhow::Result<()> {
        let deadline = Instant::now() + START_TIME_MAX;
        let mut look = interval(LOOK_EVERY);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            look.tick().await;
            if is_ready(self.port, dialect).await {
                return Ok(());
            }
            let child = self.child.as_mut().context("it was ended")?;
            if let Some(status) = child.try_wait()? {
                bail!("{} ended with {status}: {}", self.words[0], self.last_words());
            }
            if Instant::now() > deadline {
                let seconds = START_TIME_MAX.as_secs();
                bail!("{} is not there after {seconds} s: {}", self.words[0], self.last_words());
            }
        }
    }

    /// Ends it at once, as a power cut ends it but for what the kernel holds.
    pub(super) fn kill(&mut self) -> anyhow::Result<()> {
        let Some(mut child) = self.child.take() else { return Ok(()) };
        // The child leads its group; only a group that is gone already cannot be ended.
        let _ = killpg(Pid::from_raw(child.id().cast_signed()), Signal::SIGKILL);
        child.wait().map(drop).context("waiting for the server's end")
    }

    fn said(&self) -> PathBuf {
        self.dir.path().join("output")
    }

    fn last_words(&self) -> String {
        let said = fs::read(self.said()).unwrap_or_default();
        let from = said.len().saturating_sub(SAID_BYTES_MAX);
        match String::from_utf8_lossy(&said[from..]).trim() {
            "" => "it said nothing".to_owned(),
            words => words.to_owned(),
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.kill(); // it is gone then
    }
}

/// Whether a server answers: with an upgrade, or where that needs a token, with anything at all.
async fn is_ready(port: u16, dialect: Dialect) -> bool {
    let wanted: &[u8] = match dialect {
        Dialect::YWebsocket | Dialect::Hocuspocus => b"HTTP/1.1 101",
        Dialect::YSweet => b"HTTP/1.1 200",
    };
    let answer = timeout(ANSWER_TIME_MAX, first_line(port, dialect)).await;
    answer.is_ok_and(|line| line.is_ok_and(|line| line.starts_with(wanted)))
}

async fn first_line(port: u16, dialect: Dialect) -> io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
    let request = match dialect {
        Dialect::YWebsocket | Dialect::Hocuspocus => format!(
            "GET /loadtest-is-it-there HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\
             Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
             Sec-WebSocket-Key: c2hlYWYtbG9hZHRlc3QtMQ==\r\n\r\n"
        ),
        Dialect::YSweet => {
            format!("GET /ready HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n\r\n")
        }
    };
    stream.write_all(request.as_bytes()).await?;
    let mut line = vec![0; 12];
    stream.read_exact(&mut line).await?;
    Ok(line)
}
