//! The join scenario: many clients open a document with a history at once.

use std::rc::Rc;

use clap::Args;
use futures::future::try_join_all;
use serde::Serialize;
use tokio::time::Instant;

use crate::bot::{self, Joined, replica};
use crate::edits::history::History;
use crate::latency;
use crate::outcome::{Check, Figure, Outcome};
use crate::progress::Progress;
use crate::target::Target;
use crate::target::usage::{Usage, usage};

/// Many clients open a document with a real history at once.
///
/// The document is put there first, and everybody who put it there leaves. Then all clients connect
/// in the same moment and time counts until each has the whole document; that is done several times
/// over. Latency is that of a client, from nothing to synced.
#[derive(Debug, Clone, Args, Serialize)]
pub(crate) struct Plan {
    #[command(flatten)]
    #[serde(flatten)]
    history: History,
    /// Clients that come at once.
    #[arg(long, default_value_t = 50, value_name = "COUNT")]
    clients: u32,
    /// How often they all come; the first time is not measured.
    #[arg(long, default_value_t = 5, value_name = "COUNT")]
    times: u32,
}

/// Runs the scenario.
///
/// # Errors
/// When the plan makes no sense, or the server cannot be reached or breaks off.
pub(crate) async fn run(
    plan: &Plan,
    target: &Target,
    progress: &Progress,
) -> anyhow::Result<Outcome> {
    anyhow::ensure!(plan.clients > 0 && plan.times > 0, "somebody must come");
    progress.says("making the document");
    let state = plan.history.state()?.unwrap_or_else(|| vec![0, 0]);
    let room = bot::fresh_name();
    bot::join(bot::connect(target, &room)).await?.bot.put(&state).await?;
    let mut sum = Sum::new(replica::rebuild([&state]));
    for time in 0..=plan.times {
        progress.says(&format!("{} clients join, time {time} of {}", plan.clients, plan.times));
        let (server, rig, start) = (target.usage()?, usage(None)?, Instant::now());
        let joins = (0..plan.clients).map(|_| bot::join(bot::connect(target, &room)));
        // Kept open until all have joined: leaving costs the server something, too.
        let joined = try_join_all(joins).await?;
        if time > 0 {
            sum.seconds += start.elapsed().as_secs_f64();
            let after = target.usage()?;
            sum.add_usage(server.zip(after), (rig, usage(None)?));
            sum.add(&joined);
        }
    }
    let mut outcome = sum.outcome(plan, target);
    outcome.settings = serde_json::to_value(plan)?;
    Ok(outcome)
}

/// All times together.
struct Sum {
    expected: Option<String>,
    /// An answer that was compared already.
    sound: Option<Rc<Vec<u8>>>,
    took_us: hdrhistogram::Histogram<u64>,
    joins: u64,
    wrong: u64,
    bytes: u64,
    seconds: f64,
    server_s: Option<f64>,
    rig_s: f64,
    resident_mib: f64,
}

impl Sum {
    fn new(expected: Option<String>) -> Self {
        Self {
            expected,
            sound: None,
            took_us: latency::histogram(),
            joins: 0,
            wrong: 0,
            bytes: 0,
            seconds: 0.0,
            server_s: None,
            rig_s: 0.0,
            resident_mib: 0.0,
        }
    }

    fn add_usage(&mut self, server: Option<(Usage, Usage)>, rig: (Usage, Usage)) {
        self.rig_s += rig.1.cpu_s_since(rig.0);
        if let Some((start, end)) = server {
            *self.server_s.get_or_insert(0.0) += end.cpu_s_since(start);
            self.resident_mib = end.resident_mib();
        }
    }

    fn add(&mut self, joined: &[Joined]) {
        for Joined { bot, answer, took_us } in joined {
            self.took_us.saturating_record(*took_us);
            self.joins += 1;
            self.bytes += bot.counts.bytes_in;
            if self.sound.as_deref() == Some(answer) {
                continue;
            }
            if replica::rebuild([answer]) == self.expected {
                self.sound = Some(Rc::new(answer.clone()));
            } else {
                self.wrong += 1;
            }
        }
    }

    fn outcome(self, plan: &Plan, target: &Target) -> Outcome {
        let joins = self.joins as f64;
        let mut figures = vec![
            Figure::more("joins", "1/s", joins / self.seconds),
            Figure::less("bytes per join", "KiB", self.bytes as f64 / joins / 1_024.0),
            Figure::neither("rig CPU", "cores", self.rig_s / self.seconds),
        ];
        if let Some(server_s) = self.server_s {
            figures.extend([
                Figure::less("CPU per join", "ms", server_s * 1e3 / joins),
                Figure::neither("server CPU", "cores", server_s / self.seconds),
                Figure::less("server memory", "MiB", self.resident_mib),
            ]);
        }
        let note = format!("{} of {} differ", self.wrong, self.joins);
        Outcome {
            load: format!("{} clients at once, {}", plan.clients, plan.history.note()),
            measured_s: self.seconds,
            figures,
            latency: latency::summary(&self.took_us),
            checks: vec![Check::new("first answers whole", self.wrong == 0, note)],
            ..Outcome::new("join", target.server())
        }
    }
}
