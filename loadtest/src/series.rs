//! Readings while a load runs, for the plots over time and for the progress that a person sees.

use std::cell::RefCell;
use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::outcome::Sample;
use crate::progress::Progress;
use crate::target::Target;
use crate::target::usage;

/// Ten readings a second cost the rig under 0.1 % of its core and show a pause of a collector.
const SAMPLE_EVERY: Duration = Duration::from_millis(100);

/// Takes readings until it is dropped; begin it when the load begins.
pub(crate) async fn record(
    target: &Target,
    progress: &Progress,
    delivered: impl Fn() -> u64,
    samples: &RefCell<Vec<Sample>>,
) -> std::convert::Infallible {
    let start = Instant::now();
    let mut tick = interval(SAMPLE_EVERY);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        let server = target.pid().and_then(|pid| usage::sample(Some(pid)).ok());
        let rig = usage::sample(None).map_or(0.0, |usage| usage.cpu.as_secs_f64());
        let count = delivered();
        samples.borrow_mut().push(Sample {
            at_s: start.elapsed().as_secs_f64(),
            delivered: count,
            server_cpu_s: server.map(|usage| usage.cpu.as_secs_f64()),
            resident_bytes: server.map(|usage| usage.resident_bytes),
            rig_cpu_s: rig,
        });
        progress.delivered(count);
    }
}
