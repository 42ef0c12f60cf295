//! The scenarios, one file each; the command line names one, the comparison runs it.

mod big_document;
mod cold_open;
mod durable;
mod fan_out;
mod idle;
mod join;
mod mixed;
mod saturate;
mod slow_reader;
mod soak;
mod storm;
mod typing;

use std::time::Duration;

use clap::Subcommand;
use tokio::time::{Instant, sleep_until};

use crate::outcome::Outcome;
use crate::progress::Progress;
use crate::target::Target;

/// Lets a server be, for a moment that belongs to what is measured.
async fn pause(time: Duration) {
    sleep_until(Instant::now() + time).await;
}

/// A scenario and its options.
#[derive(Debug, Clone, Subcommand)]
pub(crate) enum Scenario {
    FanOut(fan_out::Plan),
    Saturate(saturate::Plan),
    Typing(typing::Plan),
    Join(join::Plan),
    Idle(idle::Plan),
    Storm(storm::Plan),
    SlowReader(slow_reader::Plan),
    BigDocument(big_document::Plan),
    ColdOpen(cold_open::Plan),
    Durable(durable::Plan),
    Mixed(mixed::Plan),
    Soak(soak::Plan),
}

impl Scenario {
    /// Runs it once on one server.
    ///
    /// # Errors
    /// When the options make no sense, or the server cannot be reached or breaks off.
    pub(crate) async fn run(
        &self,
        target: &Target,
        progress: &Progress,
    ) -> anyhow::Result<Outcome> {
        match self {
            Self::FanOut(plan) => fan_out::run(plan, target, progress).await,
            Self::Saturate(plan) => saturate::run(plan, target, progress).await,
            Self::Typing(plan) => typing::run(plan, target, progress).await,
            Self::Join(plan) => join::run(plan, target, progress).await,
            Self::Idle(plan) => idle::run(plan, target, progress).await,
            Self::Storm(plan) => storm::run(plan, target, progress).await,
            Self::SlowReader(plan) => slow_reader::run(plan, target, progress).await,
            Self::BigDocument(plan) => big_document::run(plan, target, progress).await,
            Self::ColdOpen(plan) => cold_open::run(plan, target, progress).await,
            Self::Durable(plan) => durable::run(plan, target, progress).await,
            Self::Mixed(plan) => mixed::run(plan, target, progress).await,
            Self::Soak(plan) => soak::run(plan, target, progress).await,
        }
    }

    /// As on the command line.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::FanOut(_) => "fan-out",
            Self::Saturate(_) => "saturate",
            Self::Typing(_) => "typing",
            Self::Join(_) => "join",
            Self::Idle(_) => "idle",
            Self::Storm(_) => "storm",
            Self::SlowReader(_) => "slow-reader",
            Self::BigDocument(_) => "big-document",
            Self::ColdOpen(_) => "cold-open",
            Self::Durable(_) => "durable",
            Self::Mixed(_) => "mixed",
            Self::Soak(_) => "soak",
        }
    }
}
