//! The cold-open scenario: a server that was just started opens documents from its disk.

use std::time::Duration;

use clap::Args;
use futures::{StreamExt, TryStreamExt, stream};
use rand::SeedableRng;
use rand::rngs::SmallRng;
use rand::seq::index;
use serde::Serialize;

use crate::bot::dialect::Room;
use crate::bot::{self, replica};
use crate::edits::history::History;
use crate::latency;
use crate::outcome::{Check, Figure, Outcome};
use crate::progress::Progress;
use crate::target::Target;
use crate::target::usage::{Usage, usage};

/// A server that was just started opens documents from its disk, one after another.
///
/// Documents are put there first, then the server is killed and started again on the same data.
/// Latency is from connecting to having the whole document; each is asked for a second time by
/// somebody else while the first still has it, and the difference is what the disk and the loading
/// cost. Needs a server that the rig starts.
#[derive(Debug, Clone, Args, Serialize)]
pub(crate) struct Plan {
    #[command(flatten)]
    #[serde(flatten)]
    history: History,
    /// Documents on disk, all alike.
    #[arg(long, default_value_t = 10_000, value_name = "COUNT")]
    documents: usize,
    /// Documents that are opened, taken at random.
    #[arg(long, default_value_t = 500, value_name = "COUNT")]
    opened: usize,
    /// Documents that are put there at a time.
    #[arg(long, default_value_t = 16, value_name = "COUNT")]
    at_once: usize,
    /// Time for a server that writes late, before it is killed.
    #[arg(long, default_value_t = 5.0, value_name = "SECONDS")]
    settle: f64,
    /// Makes the choice of documents the same again.
    #[arg(long, default_value_t = 1, value_name = "NUMBER")]
    seed: u64,
}

/// What came of the openings.
struct Opened {
    cold: hdrhistogram::Histogram<u64>,
    again: hdrhistogram::Histogram<u64>,
    wrong: usize,
    server: Option<(Usage, Usage)>,
    restart: Duration,
    rig_s: f64,
}

/// Runs the scenario.
///
/// # Errors
/// When the plan makes no sense, or the rig did not start the server, or it does not come back.
pub(crate) async fn run(
    plan: &Plan,
    target: &Target,
    progress: &Progress,
) -> anyhow::Result<Outcome> {
    anyhow::ensure!((1..=plan.documents).contains(&plan.opened), "open what is there");
    anyhow::ensure!(plan.at_once > 0, "at least one at a time");
    anyhow::ensure!((0.0..=600.0).contains(&plan.settle), "settle for 0 to 600 seconds");
    let state = plan.history.state()?.unwrap_or_else(|| vec![0, 0]);
    let name = bot::fresh_name();
    progress.says(&format!("making {} documents", plan.documents));
    let making = stream::iter(0..plan.documents).map(|number| put(target, &name, number, &state));
    making.buffer_unordered(plan.at_once).try_collect::<()>().await?;
    super::pause(Duration::from_secs_f64(plan.settle)).await;
    progress.says("starting again");
    target.kill()?;
    let restart = target.start_again().await?;
    progress.says(&format!("opening {}", plan.opened));
    let opened = open_all(plan, target, &name, (&state, restart)).await?;
    let mut outcome = opened.outcome(plan, target, state.len());
    outcome.settings = serde_json::to_value(plan)?;
    Ok(outcome)
}

async fn put(target: &Target, name: &str, number: usize, state: &[u8]) -> anyhow::Result<()> {
    let room = Room::new(target, &format!("{name}-{number}"))?;
    bot::join(bot::connect_when_let(room)).await?.bot.put(state).await
}

async fn open_all(
    plan: &Plan,
    target: &Target,
    name: &str,
    (state, restart): (&[u8], Duration),
) -> anyhow::Result<Opened> {
    // A server's first client makes it load code and buffers that all later ones share.
    drop(bot::join(bot::connect(target, &format!("{name}-warm"))).await?);
    let expected = replica::rebuild([state]);
    let mut opened = Opened {
        cold: latency::histogram(),
        again: latency::histogram(),
        wrong: 0,
        server: None,
        restart,
        rig_s: 0.0,
    };
    let (before, rig) = (target.usage()?, usage(None)?);
    let mut random = SmallRng::seed_from_u64(plan.seed);
    for number in index::sample(&mut random, plan.documents, plan.opened) {
        let room = format!("{name}-{number}");
        let first = bot::join(bot::connect(target, &room)).await?;
        let second = bot::join(bot::connect(target, &room)).await?;
        drop((first.bot, second.bot));
        opened.cold.saturating_record(first.took_us);
        opened.again.saturating_record(second.took_us);
        let is_asked = !target.is_floor;
        opened.wrong += usize::from(is_asked && replica::rebuild([&first.answer]) != expected);
    }
    opened.server = before.zip(target.usage()?);
    opened.rig_s = usage(None)?.cpu_s_since(rig);
    Ok(opened)
}

impl Opened {
    fn outcome(&self, plan: &Plan, target: &Target, bytes: usize) -> Outcome {
        let middle = |took: &hdrhistogram::Histogram<u64>| took.value_at_quantile(0.5) as f64 / 1e3;
        let (cold, again) = (middle(&self.cold), middle(&self.again));
        let mut figures = vec![
            Figure::less("opened cold", "ms", cold),
            Figure::less("opened again", "ms", again),
            Figure::less("loading", "ms", (cold - again).max(0.0)),
            Figure::less("restart", "ms", self.restart.as_secs_f64() * 1e3),
            Figure::neither("rig CPU time", "s", self.rig_s),
        ];
        if let Some((before, after)) = self.server {
            let took_ms = after.cpu_s_since(before) * 1e3;
            figures.extend([
                Figure::less("CPU per document", "ms", took_ms / plan.opened as f64),
                Figure::less("server memory", "MiB", after.resident_mib()),
            ]);
        }
        let note = match target.is_floor {
            true => "not asked of a relay".to_owned(),
            false => format!("{} of {} differ", self.wrong, plan.opened),
        };
        Outcome {
            load: format!("{} documents of {bytes} bytes, {} opened", plan.documents, plan.opened),
            figures,
            latency: latency::summary(&self.cold),
            checks: vec![Check::new("first answers whole", self.wrong == 0, note)],
            ..Outcome::new("cold-open", target.server())
        }
    }
}
