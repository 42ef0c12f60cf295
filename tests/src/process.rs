//! The real `sheaf` binary as a child process, to be killed and started again.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::Duration;

use anyhow::{Context, bail};
use parking_lot::Mutex;

/// From start to the printed address, on a machine that is busy with other tests.
const START_TIME_MAX: Duration = Duration::from_secs(20);
/// How much of the output is kept to explain a failure.
const LINES_KEPT: usize = 200;

/// A running server process. Dropping it kills it.
pub struct Process {
    child: Option<Child>,
    address: SocketAddr,
    data: PathBuf,
    arguments: Vec<String>,
    said: Arc<Mutex<Vec<String>>>,
}

impl Process {
    /// Starts the binary on a free port with its data in `data`.
    ///
    /// # Errors
    /// When it cannot be built or started, or prints no address in time.
    pub fn start(data: &Path) -> anyhow::Result<Self> {
        Self::start_with(data, &[])
    }

    /// As [`Process::start`], with more arguments after `serve --listen … --data …`.
    ///
    /// # Errors
    /// As [`Process::start`].
    pub fn start_with(data: &Path, arguments: &[&str]) -> anyhow::Result<Self> {
        let mut process = Self {
            child: None,
            address: SocketAddr::from(([127, 0, 0, 1], 0)),
            data: data.to_owned(),
            arguments: arguments.iter().map(|argument| (*argument).to_owned()).collect(),
            said: Arc::default(),
        };
        process.restart()?;
        Ok(process)
    }

    /// Starts it again, on the same port and data.
    ///
    /// # Errors
    /// When it is still running, or as [`Process::start`].
    pub fn restart(&mut self) -> anyhow::Result<()> {
        let address = self.launch()?;
        self.address = self.await_address(&address)?;
        Ok(())
    }

    /// Starts it again without waiting until it listens: to kill it on the way.
    ///
    /// # Errors
    /// When it is still running or cannot be started.
    pub fn launch(&mut self) -> anyhow::Result<Receiver<SocketAddr>> {
        if self.child.is_some() {
            bail!("it is still running");
        }
        let mut command = Command::new(binary()?);
        // What tells the tests what to do is no configuration of the server.
        for (name, _) in std::env::vars_os().filter(|(name, _)| is_ours(name)) {
            command.env_remove(name);
        }
        let mut child = command
            .arg("serve")
            .args(["--listen", &self.address.to_string()])
            .arg("--data")
            .arg(&self.data)
            .args(&self.arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .context("starting sheaf")?;
        let (found, address) = sync_channel(16);
        let pipes: [Option<Box<dyn Read + Send>>; 2] = [
            child.stdout.take().map(|pipe| Box::new(pipe) as Box<dyn Read + Send>),
            child.stderr.take().map(|pipe| Box::new(pipe) as Box<dyn Read + Send>),
        ];
        for pipe in pipes.into_iter().flatten() {
            listen(pipe, found.clone(), Arc::clone(&self.said));
        }
        drop(found);
        self.child = Some(child);
        Ok(address)
    }

    fn await_address(&mut self, address: &Receiver<SocketAddr>) -> anyhow::Result<SocketAddr> {
        address.recv_timeout(START_TIME_MAX).map_err(|reason| {
            self.kill();
            anyhow::anyhow!("sheaf printed no address: {reason}\n{}", self.said())
        })
    }

    /// Kills it with SIGKILL and waits until it is gone. No effect if it is not running.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            // Both fail only if it is gone already, which is what is wanted.
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Sends SIGTERM and waits for it to end by itself; returns whether it exited with 0.
    ///
    /// # Errors
    /// When it is not running or the signal cannot be sent.
    pub fn terminate(&mut self) -> anyhow::Result<bool> {
        let mut child = self.child.take().context("it is not running")?;
        let sent = Command::new("kill").args(["-TERM", &child.id().to_string()]).status()?;
        if !sent.success() {
            bail!("the signal was not sent");
        }
        Ok(child.wait()?.success())
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// `ws://…` of the server, without a room.
    pub fn url(&self) -> String {
        format!("ws://{}", self.address)
    }

    /// The process id, while it runs.
    pub fn id(&self) -> Option<u32> {
        self.child.as_ref().map(Child::id)
    }

    /// What it printed last, both streams together.
    pub fn said(&self) -> String {
        self.said.lock().join("\n")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Drains one of the child's pipes for as long as it lives, so that it never blocks on a full one.
fn listen(
    pipe: Box<dyn Read + Send>,
    found: SyncSender<SocketAddr>,
    said: Arc<Mutex<Vec<String>>>,
) {
    thread::spawn(move || {
        for line in BufReader::new(pipe).lines().map_while(Result::ok) {
            if let Some(address) = address_in(&line) {
                // Once nobody waits any more, addresses in later lines are of no interest.
                let _ = found.try_send(address);
            }
            let mut said = said.lock();
            if said.len() == LINES_KEPT {
                said.remove(0);
            }
            said.push(line);
        }
    });
}

fn is_ours(name: &OsStr) -> bool {
    name.to_string_lossy().starts_with("SHEAF_")
}

/// The address in a line such as `Open http://127.0.0.1:1234/`.
fn address_in(line: &str) -> Option<SocketAddr> {
    let start = line.find("127.0.0.1:")?;
    let rest = &line[start..];
    let end = rest["127.0.0.1:".len()..]
        .find(|c: char| !c.is_ascii_digit())
        .map_or(rest.len(), |end| end + "127.0.0.1:".len());
    rest[..end].parse().ok().filter(|address: &SocketAddr| address.port() != 0)
}

/// The binary, for runs that [`Process`] does not fit: the one `BIN_SHEAF` names, or this
/// workspace's, built once if it is not up to date.
///
/// # Errors
/// When it cannot be built.
pub fn binary() -> anyhow::Result<&'static Path> {
    static BINARY: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    let found = BINARY.get_or_init(|| match std::env::var_os("BIN_SHEAF") {
        Some(path) => Ok(PathBuf::from(path)),
        None => build("sheaf-server", "sheaf").map_err(|reason| format!("{reason:#}")),
    });
    found.as_deref().map_err(|reason| anyhow::anyhow!("no sheaf binary: {reason}"))
}

/// The load rig: beside the binary that `BIN_SHEAF` names, or this profile's, built first.
///
/// # Errors
/// When it cannot be built.
pub fn loadtest() -> anyhow::Result<PathBuf> {
    match std::env::var_os("BIN_SHEAF") {
        Some(path) => Ok(PathBuf::from(path).with_file_name("sheaf-loadtest")),
        None => build("sheaf-loadtest", "sheaf-loadtest"),
    }
}

fn build(package: &str, binary: &str) -> anyhow::Result<PathBuf> {
    let own = std::env::current_exe().context("the test's own path")?;
    let profile = own.ancestors().nth(2).context("a test lies in <target>/<profile>/deps")?;
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["build", "--quiet", "--package", package, "--bin", binary]);
    cargo.current_dir(env!("CARGO_MANIFEST_DIR"));
    if profile.ends_with("release") {
        cargo.arg("--release");
    }
    let built = cargo.output().context("running cargo")?;
    if !built.status.success() {
        bail!("{}", String::from_utf8_lossy(&built.stderr));
    }
    Ok(profile.join(binary))
}

#[cfg(test)]
mod tests {
    //! Reading the address.

    use super::*;

    #[test]
    fn the_address_is_found_in_a_sentence() {
        let found = address_in("Open http://127.0.0.1:4711/ in a browser");
        assert_eq!(found, Some(SocketAddr::from(([127, 0, 0, 1], 4711))));
        assert_eq!(address_in("listening on 127.0.0.1:0"), None);
        assert_eq!(address_in("no address"), None);
    }
}
