//! Waiting for what must become true. Every test that waits uses this or a replica's own `wait`.

use std::future::Future;
use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval, timeout};

/// How often a condition that cannot announce itself is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// Waits until the condition holds.
///
/// # Panics
/// When it does not within the time given; `what` says what was waited for.
pub async fn eventually(what: &str, within: Duration, mut condition: impl FnMut() -> bool) {
    eventually_async(what, within, || std::future::ready(condition())).await;
}

/// As [`eventually`], for a condition that has to ask somebody.
///
/// # Panics
/// When it does not hold within the time given.
pub async fn eventually_async<F: Future<Output = bool>>(
    what: &str,
    within: Duration,
    mut condition: impl FnMut() -> F,
) {
    let mut look = interval(LOOK_EVERY);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let looking = async {
        loop {
            look.tick().await;
            if condition().await {
                return;
            }
        }
    };
    assert!(timeout(within, looking).await.is_ok(), "not within {within:?}: {what}");
}
