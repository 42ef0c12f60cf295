//! The storm scenario: many clients lose their connections and come back at once.

use std::time::Duration;

use clap::Args;
use futures::future::try_join_all;
use serde::Serialize;
use tokio::time::Instant;
use yrs::updates::encoder::Encode;
use yrs::{Doc, ReadTxn, StateVector, Text, Transact};

use crate::bot::dialect::Room;
use crate::bot::{self, Joined, replica};
use crate::edits::token::ROOT;
use crate::latency;
use crate::outcome::{Check, Figure, Outcome};
use crate::progress::Progress;
use crate::target::Target;
use crate::target::usage::usage;

/// Time for a server to notice that everybody has gone.
const GONE: Duration = Duration::from_millis(500);

/// Many clients lose their connections and open them again at once.
///
/// They hold all of their documents: nothing but the opening itself is sent. Latency is that of a
/// client, from nothing to the server's answer; the first time, when all are new, is not measured.
#[derive(Debug, Clone, Args, Serialize)]
pub(crate) struct Plan {
    /// Clients.
    #[arg(long, default_value_t = 500, value_name = "COUNT")]
    clients: u32,
    /// Documents they are spread over.
    #[arg(long, default_value_t = 20, value_name = "COUNT")]
    documents: u32,
    /// Characters of each document.
    #[arg(long, default_value_t = 20_000, value_name = "COUNT")]
    length: usize,
    /// How often they come back.
    #[arg(long, default_value_t = 5, value_name = "COUNT")]
    times: u32,
}

/// A document that all clients hold.
struct Held {
    room: String,
    text: String,
    update: Vec<u8>,
    vector: Vec<u8>,
}

impl Held {
    fn new(length: usize) -> Self {
        let text: String = ('a'..='z').cycle().take(length).collect();
        let doc = Doc::with_client_id(u64::from(rand::random::<u32>()));
        let root = doc.get_or_insert_text(ROOT);
        root.push(&mut doc.transact_mut(), &text);
        let txn = doc.transact();
        let room = bot::fresh_name();
        let update = txn.encode_diff_v1(&StateVector::default());
        Self { room, text, update, vector: txn.state_vector().encode_v1() }
    }

    async fn put(&self, target: &Target) -> anyhow::Result<()> {
        bot::join(bot::connect(target, &self.room)).await?.bot.put(&self.update).await
    }

    async fn back(&self, target: &Target) -> anyhow::Result<Joined> {
        bot::join(bot::connect_knowing(Room::new(target, &self.room)?, &self.vector)).await
    }
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
    anyhow::ensure!(plan.clients > 0 && plan.documents > 0 && plan.times > 0, "somebody must come");
    // What it may not be raised to, connecting will tell.
    let _ = rlimit::increase_nofile_limit(u64::MAX);
    progress.says("making the documents");
    let held: Vec<Held> = (0..plan.documents).map(|_| Held::new(plan.length)).collect();
    for document in &held {
        document.put(target).await?;
    }
    let (mut took_us, mut bytes) = (latency::histogram(), 0);
    let (mut seconds, mut server_s, mut rig_s) = (0.0, None, 0.0);
    let mut worst_us = Vec::new();
    for time in 0..=plan.times {
        progress.says(&format!("{} clients come, time {time} of {}", plan.clients, plan.times));
        let (server, rig, start) = (target.usage()?, usage(None)?, Instant::now());
        let documents = held.iter().cycle().take(plan.clients as usize);
        let all = try_join_all(documents.map(|document| document.back(target))).await?;
        if time > 0 {
            seconds += start.elapsed().as_secs_f64();
            rig_s += usage(None)?.cpu_s_since(rig);
            if let Some((before, after)) = server.zip(target.usage()?) {
                *server_s.get_or_insert(0.0) += after.cpu_s_since(before);
            }
            all.iter().for_each(|back| took_us.saturating_record(back.took_us));
            bytes += all.iter().map(|back| back.bot.counts.bytes_in).sum::<u64>();
            worst_us.extend(all.iter().map(|back| back.took_us).max());
        }
        drop(all);
        super::pause(GONE).await;
    }
    let clients = f64::from(plan.clients) * f64::from(plan.times);
    worst_us.sort_unstable();
    let worst_ms = worst_us[worst_us.len() / 2] as f64 / 1e3;
    let mut figures = vec![
        Figure::less("worst client", "ms", worst_ms),
        Figure::less("bytes per client", "B", bytes as f64 / clients),
        Figure::neither("rig CPU", "cores", rig_s / seconds),
    ];
    if let Some(server_s) = server_s {
        figures.insert(0, Figure::less("CPU per client", "µs", server_s * 1e6 / clients));
    }
    Ok(Outcome {
        load: format!("{} clients, {} documents", plan.clients, plan.documents),
        settings: serde_json::to_value(plan)?,
        measured_s: seconds,
        figures,
        latency: latency::summary(&took_us),
        checks: vec![newcomer(target, &held[0]).await?],
        ..Outcome::new("storm", target.server())
    })
}

/// The documents are still what they were.
async fn newcomer(target: &Target, held: &Held) -> anyhow::Result<Check> {
    let name = "a newcomer gets the document";
    if target.is_floor {
        // It remembers what came first, and everybody who came back said that he has nothing new.
        return Ok(Check::new(name, true, "not asked of a relay"));
    }
    let shown = replica::join(target, &held.room, |text| text == held.text).await?;
    let is_whole = shown.first.as_deref() == Some(&*held.text);
    Ok(Check::new(name, is_whole, if is_whole { "whole" } else { "it differs" }))
}

#[cfg(test)]
mod tests;
