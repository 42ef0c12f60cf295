//! Several rig processes on one load: one leads, starts the others, lets all begin together and
//! adds up what came of it. For servers that one core of bots does not keep busy.

use std::cell::RefCell;
use std::io::{self, BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use anyhow::Context;
use clap::{Args, ValueEnum};
use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};

use crate::load::Load;
use crate::measure::Measured;
use crate::outcome::Check;
use crate::target::Target;

/// The calling thread, for the kernel.
const THIS: Pid = Pid::from_raw(0);
const READY: &str = "ready";
const BEGIN: &str = "begin";

/// How many processes make the load.
#[derive(Debug, Clone, Args, Serialize)]
pub(crate) struct Processes {
    /// Rig processes that share the documents; with --rig-core each on a core of its own, from that
    /// one on, as far as there are cores.
    #[arg(long, default_value_t = 1, value_name = "COUNT")]
    processes: u32,
    /// Started by another, which leads.
    #[arg(long, hide = true)]
    #[serde(skip)]
    member: bool,
}

/// This process and those it works with.
pub(crate) enum Crew {
    Alone,
    Member,
    Leader(Vec<RefCell<Member>>),
}

/// A process that the leader started. Dropping it ends it.
pub(crate) struct Member {
    child: Child,
    to: ChildStdin,
    from: BufReader<ChildStdout>,
}

/// What came of a member's share.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Tally {
    deliveries: u64,
    rig_share: f64,
    /// Microseconds and how many took as long, of the measured part.
    latencies_us: Vec<(u64, u64)>,
    checks: Vec<Check>,
    failures: Vec<String>,
}

/// The command line of another process: a scenario and its options.
pub(crate) fn arguments(scenario: &str, options: &[(&str, String)]) -> Vec<String> {
    let words = options.iter().flat_map(|(name, value)| [(*name).to_owned(), value.clone()]);
    std::iter::once(scenario.to_owned()).chain(words).collect()
}

impl Processes {
    /// The share of this process, and of each member if it leads: of so many documents.
    fn shares(&self, documents: u32) -> (u32, u32) {
        if self.member {
            return (documents, 0);
        }
        let members = documents / self.processes;
        (documents - members * (self.processes - 1), members)
    }

    /// Starts the members, if this process leads any, with the scenario's arguments for their
    /// share. Returns this process' own share.
    pub(crate) fn start(
        &self,
        target: &Target,
        documents: u32,
        arguments: impl Fn(u32) -> Vec<String>,
    ) -> anyhow::Result<(Crew, u32)> {
        let is_sound = (1..=documents.max(1)).contains(&self.processes);
        anyhow::ensure!(is_sound, "at least one process, and at most one for each document");
        let (own, share) = self.shares(documents);
        if self.member {
            return Ok((Crew::Member, own));
        }
        let core = own_core();
        let members = (1..self.processes as usize).map(|number| {
            // A process inherits the core of who starts it.
            let _ = core.map(|core| take(core + number)); // where there is no such core, ours
            let member = Member::start(target, &arguments(share));
            core.map_or(Ok(()), take)?;
            member.map(RefCell::new)
        });
        let members: Vec<_> = members.collect::<anyhow::Result<_>>()?;
        Ok((if members.is_empty() { Crew::Alone } else { Crew::Leader(members) }, own))
    }
}

/// The core this process is bound to, if it is to one.
fn own_core() -> Option<usize> {
    let bound = sched_getaffinity(THIS).ok()?;
    let mut cores = (0..CpuSet::count()).filter(|core| bound.is_set(*core).unwrap_or(false));
    cores.next().filter(|_| cores.next().is_none())
}

fn take(core: usize) -> anyhow::Result<()> {
    let mut set = CpuSet::new();
    set.set(core)?;
    sched_setaffinity(THIS, &set).context("moving to another core")
}

impl Member {
    fn start(target: &Target, arguments: &[String]) -> anyhow::Result<Self> {
        let dialect = target.dialect.to_possible_value().context("a dialect has a name")?;
        let mut child = Command::new(std::env::current_exe()?)
            .args(arguments)
            .args(["--member", "--url", &target.url, "--dialect", dialect.get_name()])
            .args(["--json", "-"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("starting another rig process")?;
        let to = child.stdin.take().context("its input")?;
        let from = BufReader::new(child.stdout.take().context("its output")?);
        Ok(Self { child, to, from })
    }

    fn line(&mut self) -> anyhow::Result<String> {
        let mut line = String::new();
        let len = self.from.read_line(&mut line).context("a rig process")?;
        anyhow::ensure!(len > 0, "a rig process has ended early; it says why above");
        Ok(line)
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        // It has ended by itself, unless the leader failed.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Crew {
    /// Waits until everybody is connected. Call it right before the clock starts: nobody is served
    /// meanwhile.
    pub(crate) fn begin(&self) -> anyhow::Result<()> {
        match self {
            Self::Alone => {}
            Self::Member => {
                writeln!(io::stdout(), "{READY}")?;
                let mut line = String::new();
                io::stdin().lock().read_line(&mut line)?;
                anyhow::ensure!(line.trim() == BEGIN, "the leading rig process has ended");
            }
            Self::Leader(members) => {
                for member in members {
                    let line = member.borrow_mut().line()?;
                    anyhow::ensure!(line.trim() == READY, "a rig process said {line:?}");
                }
                for member in members {
                    writeln!(member.borrow_mut().to, "{BEGIN}")?;
                }
            }
        }
        Ok(())
    }

    /// When all is over: a member hands in what came of its share, the leader adds it all up.
    pub(crate) fn gather(
        &self,
        target: &Target,
        load: &Load,
        measured: &mut Measured,
        checks: &mut Vec<Check>,
    ) -> anyhow::Result<()> {
        match self {
            Self::Alone => {}
            Self::Member => {
                let tally = Tally {
                    deliveries: measured.deliveries(),
                    rig_share: measured.rig_share(),
                    latencies_us: load.latencies(),
                    checks: checks.clone(),
                    failures: load.failures(),
                };
                writeln!(io::stdout(), "{}", serde_json::to_string(&tally)?)?;
            }
            Self::Leader(members) => {
                for member in members {
                    let tally: Tally = serde_json::from_str(&member.borrow_mut().line()?)?;
                    measured.add(tally.deliveries, tally.rig_share);
                    load.add(&tally.latencies_us, tally.failures);
                    add_checks(checks, tally.checks, target.is_floor);
                }
            }
        }
        Ok(())
    }
}

/// A check passes if it passes everywhere. What is not asked of a relay, members ask in vain: they
/// do not know what their server is.
fn add_checks(checks: &mut Vec<Check>, others: Vec<Check>, is_relay: bool) {
    for other in others {
        let own = checks.iter_mut().find(|check| check.name == other.name);
        match own {
            Some(own) if is_relay && own.note.contains("relay") => {}
            Some(own) if own.is_passed && !other.is_passed => *own = other,
            Some(_) => {}
            None => checks.push(other),
        }
    }
}

#[cfg(test)]
mod tests;
