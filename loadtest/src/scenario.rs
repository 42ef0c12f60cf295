//! The scenarios, one file each; the command line names one, the comparison runs it.

mod big_document;
mod durable;
mod fan_out;
mod join;
mod mixed;
mod saturate;
mod soak;
mod typing;

use clap::Subcommand;

use crate::outcome::Outcome;
use crate::progress::Progress;
use crate::target::Target;

/// A scenario and its options.
#[derive(Debug, Clone, Subcommand)]
pub(crate) enum Scenario {
    FanOut(fan_out::Plan),
    Saturate(saturate::Plan),
    Typing(typing::Plan),
    Join(join::Plan),
    BigDocument(big_document::Plan),
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
            Self::BigDocument(plan) => big_document::run(plan, target, progress).await,
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
            Self::BigDocument(_) => "big-document",
            Self::Durable(_) => "durable",
            Self::Mixed(_) => "mixed",
            Self::Soak(_) => "soak",
        }
    }
}
