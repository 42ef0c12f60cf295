//! Who runs on which core: the rig and the servers it starts must not share one, or each measures
//! the other.

use anyhow::Context;
use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;

/// The calling thread, for the kernel.
const THIS: Pid = Pid::from_raw(0);

/// Cores for both sides.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cores {
    /// What this process had at the beginning.
    all: CpuSet,
    server: Option<usize>,
    rig: Option<usize>,
}

impl Cores {
    /// Moves the rig to its core.
    ///
    /// # Errors
    /// When a core is not there or not ours.
    pub(crate) fn new(server: Option<usize>, rig: Option<usize>) -> anyhow::Result<Self> {
        let cores = Self { all: sched_getaffinity(THIS)?, server, rig };
        for core in server.iter().chain(&rig) {
            let is_ours = cores.all.is_set(*core).unwrap_or(false);
            anyhow::ensure!(is_ours, "core {core} is not among those this process may use");
        }
        cores.take(rig)?;
        Ok(cores)
    }

    /// The first core that this process may use for servers and the last for the rig; no cores in
    /// particular where there is only one.
    ///
    /// # Errors
    /// When the kernel does not tell.
    pub(crate) fn apart() -> anyhow::Result<Self> {
        let all = sched_getaffinity(THIS)?;
        let ours = |core: &usize| all.is_set(*core).unwrap_or(false);
        let first = (0..CpuSet::count()).find(ours);
        let last = (0..CpuSet::count()).rfind(ours);
        match first == last {
            true => Self::new(None, None),
            false => Self::new(first, last),
        }
    }

    /// Starts a process on the server's core. It inherits the core of the thread that starts it.
    pub(crate) fn started<T>(
        &self,
        start: impl FnOnce() -> std::io::Result<T>,
    ) -> anyhow::Result<T> {
        self.take(self.server)?;
        let started = start();
        self.take(self.rig)?;
        Ok(started?)
    }

    fn take(&self, core: Option<usize>) -> anyhow::Result<()> {
        let set = match core {
            None => self.all,
            Some(core) => {
                let mut set = CpuSet::new();
                set.set(core)?;
                set
            }
        };
        sched_setaffinity(THIS, &set).context("moving to another core")
    }
}

#[cfg(test)]
mod tests;
