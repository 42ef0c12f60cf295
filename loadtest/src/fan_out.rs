//! The fan-out scenario: one writer and many readers of one document.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use anyhow::Context;
use clap::Args;
use sheaf_client::replica::{Options, Replica};
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};
use yrs::updates::decoder::Decode;
use yrs::{Doc, GetString, Transact, Update};

use crate::load::{Load, Shape};
use crate::process::{Usage, usage};
use crate::progress;
use crate::reader::{self, Account};
use crate::report::{Latency, Report};
use crate::token::{ROOT, TOKEN_BYTES};
use crate::wire::Address;
use crate::writer;

/// How long connecting everybody, or a fresh client's join, may take.
const JOIN_TIME_MAX: Duration = Duration::from_secs(60);

/// One writer, many readers of one document.
///
/// Closed loop (`--window`): the writer keeps that many updates open; one is closed when every
/// reader has it. Open loop (`--rate`): the writer sends so many a second whatever happens, and
/// latency counts from when an update was due, so a server that stalls cannot hide it.
#[derive(Debug, Clone, Args)]
pub(crate) struct Plan {
    /// The server, and a path before the document's name if there is one.
    #[arg(long, default_value = "ws://127.0.0.1:1234", value_name = "URL")]
    url: String,
    /// The document; a fresh one if not given. It must be empty.
    #[arg(long, value_name = "NAME")]
    room: Option<String>,
    /// Readers, besides the writer.
    #[arg(long, default_value_t = 100, value_name = "COUNT")]
    readers: u32,
    /// Closed loop with so many updates open.
    #[arg(long, default_value_t = 16, value_name = "COUNT", conflicts_with = "rate")]
    window: u32,
    /// Open loop with so many updates a second.
    #[arg(long, value_name = "PER_SECOND")]
    rate: Option<f64>,
    /// Load before anything is measured.
    #[arg(long, default_value_t = 1.0, value_name = "SECONDS")]
    warm_up: f64,
    /// Load that is measured. With the warm-up at most an hour.
    #[arg(long, default_value_t = 5.0, value_name = "SECONDS")]
    seconds: f64,
    /// Readers whose documents are rebuilt from what they received, and compared.
    #[arg(long, default_value_t = 3, value_name = "COUNT")]
    rebuild: u32,
    /// The server's process id, for its CPU time and memory (Linux).
    #[arg(long, value_name = "PID")]
    server_pid: Option<u32>,
}

impl Plan {
    fn shape(&self) -> Shape {
        Shape {
            readers: self.readers,
            window: self.window,
            rate: self.rate,
            warm_up_s: self.warm_up,
            measured_s: self.seconds,
        }
    }
}

/// Readings at the two ends of the measured part.
struct Readings {
    at: Instant,
    deliveries: u64,
    server: Option<Usage>,
    rig: Usage,
}

impl Readings {
    fn take(plan: &Plan, load: &Load) -> anyhow::Result<Self> {
        Ok(Self {
            at: Instant::now(),
            deliveries: load.deliveries(),
            server: plan.server_pid.map(|id| usage(Some(id))).transpose()?,
            rig: usage(None)?,
        })
    }
}

/// A load that was driven to its end.
struct Driven {
    /// The tokens, in order.
    text: String,
    sent: u32,
    readings: [Readings; 2],
}

/// Runs the scenario.
pub(crate) async fn run(plan: &Plan) -> anyhow::Result<Report> {
    anyhow::ensure!(plan.readers > 0 && plan.window > 0, "there must be readers and a window");
    anyhow::ensure!(plan.rate.is_none_or(|rate| rate > 0.0), "a rate is more than 0");
    let seconds = plan.warm_up + plan.seconds;
    anyhow::ensure!((0.1..=3_600.0).contains(&seconds), "a load lasts 0.1 to 3,600 seconds");
    let fresh = || format!("loadtest-{:016x}", rand::random::<u64>());
    let room = plan.room.clone().unwrap_or_else(fresh);
    let address = Rc::new(Address::new(&plan.url, &room)?);
    let load = Rc::new(Load::new(plan.shape()));
    let mut readers = Readers::connect(plan, &address, &load).await?;
    load.begin();
    let driven = tokio::select! {
        driven = drive(plan, &address, &load) => driven?,
        () = progress::show("fan-out", Duration::from_secs_f64(seconds)) => {
            unreachable!("the bar has no end of its own")
        }
    };
    let accounts = readers.end().await;
    let joined = join(plan, &room).await;
    Ok(report(plan, &accounts, &driven, &joined))
}

struct Readers {
    tasks: JoinSet<()>,
    accounts: Vec<Rc<RefCell<Account>>>,
}

impl Readers {
    /// Connects all of them and waits until each has the (empty) document.
    async fn connect(plan: &Plan, address: &Rc<Address>, load: &Rc<Load>) -> anyhow::Result<Self> {
        let mut readers = Self { tasks: JoinSet::new(), accounts: Vec::new() };
        let mut joined = Vec::new();
        for number in 0..plan.readers {
            let account = Rc::new(RefCell::new(Account::new(number < plan.rebuild)?));
            let (ready, is_ready) = oneshot::channel();
            let reader =
                reader::run(Rc::clone(address), Rc::clone(&account), Rc::clone(load), ready);
            readers.tasks.spawn_local(reader);
            readers.accounts.push(account);
            joined.push(is_ready);
        }
        let all = futures::future::join_all(joined);
        let all =
            timeout(JOIN_TIME_MAX, all).await.context("the readers did not get in in time")?;
        let failed = all.iter().position(Result::is_err);
        if let Some(failed) = failed {
            let reason = readers.accounts[failed].borrow().failure.clone();
            anyhow::bail!("reader {failed}: {}", reason.unwrap_or_default());
        }
        Ok(readers)
    }

    async fn end(&mut self) -> Vec<Rc<RefCell<Account>>> {
        self.tasks.abort_all();
        while self.tasks.join_next().await.is_some() {}
        std::mem::take(&mut self.accounts)
    }
}

/// Writes for the whole time and takes readings where the measured part begins and ends.
async fn drive(plan: &Plan, address: &Address, load: &Load) -> anyhow::Result<Driven> {
    let [start, end] = load.measured();
    let readings = async {
        tokio::time::sleep_until(start).await;
        let first = Readings::take(plan, load)?;
        tokio::time::sleep_until(end).await;
        Ok([first, Readings::take(plan, load)?])
    };
    // 32 bits: servers built on older Yjs lose the edits of longer ids.
    let writing = writer::run(address, rand::random(), load);
    let (text, readings) = tokio::try_join!(writing, readings)?;
    let sent = (text.len() / TOKEN_BYTES) as u32;
    Ok(Driven { text, sent, readings })
}

/// What a client that comes when all is over reads.
async fn join(plan: &Plan, room: &str) -> Option<String> {
    let replica =
        Replica::connect(Options { root: ROOT.to_owned(), ..Options::new(&plan.url, room) });
    replica.synced(JOIN_TIME_MAX).await.ok()?;
    Some(replica.text())
}

/// Builds the document that a reader was sent, and reads it.
fn rebuild(updates: &[Vec<u8>]) -> Option<String> {
    let doc = Doc::new();
    let text = doc.get_or_insert_text(ROOT);
    for update in updates {
        doc.transact_mut().apply_update(Update::decode_v1(update).ok()?).ok()?;
    }
    Some(text.get_string(&doc.transact()))
}

fn report(
    plan: &Plan,
    accounts: &[Rc<RefCell<Account>>],
    driven: &Driven,
    joined: &Option<String>,
) -> Report {
    let [start, end] = &driven.readings;
    let seconds = (end.at - start.at).as_secs_f64();
    let deliveries = end.deliveries - start.deliveries;
    let share = |used: Duration| used.as_secs_f64() / seconds;
    let server = start.server.zip(end.server);
    let server_cpu = server.map(|(start, end)| end.cpu.saturating_sub(start.cpu));
    let mut latency = Latency::default();
    let (mut lost, mut repeated, mut frames, mut received) = (0, 0, 0, 0);
    let (mut rebuilt, mut differing, mut failures) = (0, 0, Vec::new());
    for (number, account) in accounts.iter().enumerate() {
        let account = account.borrow();
        latency.add(&account.latencies_us);
        lost += u64::from(driven.sent - account.received.min(driven.sent));
        repeated += u64::from(account.repeated);
        received += u64::from(account.received);
        frames += account.frames;
        failures
            .extend(account.failure.as_ref().map(|reason| format!("reader {number}: {reason}")));
        if let Some(updates) = &account.updates {
            rebuilt += 1;
            differing += u32::from(rebuild(updates).as_ref() != Some(&driven.text));
        }
    }
    Report {
        scenario: "fan-out",
        url: plan.url.clone(),
        readers: plan.readers,
        window: plan.rate.is_none().then_some(plan.window),
        rate: plan.rate,
        measured_s: seconds,
        sent: driven.sent,
        deliveries,
        deliveries_per_s: deliveries as f64 / seconds,
        deliveries_per_frame: received as f64 / frames.max(1) as f64,
        latency: latency.summary(),
        server_cpu_us_per_delivery: server_cpu
            .map(|cpu| cpu.as_micros() as f64 / deliveries.max(1) as f64),
        server_cpu_share: server_cpu.map(share),
        server_memory_bytes: server.map(|(start, end)| [start.resident_bytes, end.resident_bytes]),
        rig_cpu_share: share(end.rig.cpu.saturating_sub(start.rig.cpu)),
        lost,
        repeated,
        rebuilt,
        rebuilt_differing: differing,
        is_fresh_client_equal: joined.as_ref() == Some(&driven.text),
        failures,
    }
}
