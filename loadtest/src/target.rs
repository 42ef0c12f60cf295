//! A server under test: reached by its address or started here, read from `/proc`. The comparison
//! makes it, the scenarios use it.

pub(crate) mod cores;
mod process;
pub(crate) mod spec;
pub(crate) mod usage;

use std::cell::{Cell, RefCell};
use std::path::Path;
use std::time::Duration;

use anyhow::Context;
use tokio::time::Instant;

use crate::outcome::{Dialect, Server};
use cores::Cores;
use process::Process;
use spec::{Origin, Spec};
use usage::Usage;

/// A server under test. Dropping it ends what was started.
#[derive(Debug)]
pub(crate) struct Target {
    /// What outcomes say of it.
    server: Server,
    /// `ws://127.0.0.1:port`, with a prefix before the room's name if there is one.
    pub(crate) url: String,
    pub(crate) dialect: Dialect,
    pub(crate) is_floor: bool,
    /// Changes when the server is started again.
    pid: Cell<Option<u32>>,
    /// The process, if the rig started it. Away while it is being waited for.
    process: RefCell<Option<Process>>,
}

impl Target {
    /// Starts the server, with its data in a fresh folder of `data`, and waits until it answers; or
    /// takes note of one that runs.
    ///
    /// # Errors
    /// When it does not start or does not answer in time; with its last words.
    pub(crate) async fn open(spec: &Spec, cores: Cores, data: &Path) -> anyhow::Result<Self> {
        let (url, pid, process) = match &spec.origin {
            Origin::Running { url, pid } => (url.clone(), *pid, None),
            Origin::Command(words) => {
                let mut process = Process::start(words, cores, data)?;
                process.await_ready(spec.dialect).await?;
                (format!("ws://127.0.0.1:{}", process.port), process.id(), Some(process))
            }
        };
        Ok(Self {
            server: spec.server(),
            url,
            dialect: spec.dialect,
            is_floor: spec.is_floor,
            pid: Cell::new(pid),
            process: RefCell::new(process),
        })
    }

    /// A server that runs in the test.
    #[cfg(test)]
    pub(crate) fn attached(url: &str, pid: Option<u32>, dialect: Dialect) -> Self {
        let server = Spec::running(url, pid, dialect).server();
        let (pid, process) = (Cell::new(pid), RefCell::new(None));
        Self { server, url: url.to_owned(), dialect, is_floor: false, pid, process }
    }

    /// The server's process, if its figures can be read.
    pub(crate) fn pid(&self) -> Option<u32> {
        self.pid.get()
    }

    /// CPU time and memory of the server now, to the byte; nothing for a server whose process is
    /// not known.
    ///
    /// # Errors
    /// When the process has ended.
    pub(crate) fn usage(&self) -> anyhow::Result<Option<Usage>> {
        self.pid().map(|pid| usage::usage(Some(pid))).transpose()
    }

    /// Ends the server with SIGKILL. Its data stays.
    ///
    /// # Errors
    /// When the rig did not start it.
    pub(crate) fn kill(&self) -> anyhow::Result<()> {
        let mut process = self.process.borrow_mut();
        let process = process.as_mut().context("only a server that the rig started is killed")?;
        process.kill()?;
        self.pid.set(None);
        Ok(())
    }

    /// Starts the server again after [`Target::kill`], on the same port and data. Returns how long
    /// it took until it answered.
    ///
    /// # Errors
    /// When the rig did not start it, or as [`Target::open`].
    pub(crate) async fn start_again(&self) -> anyhow::Result<Duration> {
        let process = self.process.borrow_mut().take();
        let mut process = process.context("only a server that the rig started is started again")?;
        let before = Instant::now();
        process.launch()?;
        let ready = process.await_ready(self.dialect).await;
        self.pid.set(process.id());
        self.process.replace(Some(process));
        ready.map(|()| before.elapsed())
    }

    /// What outcomes say of it.
    pub(crate) fn server(&self) -> Server {
        self.server.clone()
    }
}
