//! Clocks and seeded randomness: the one home of ambient time and entropy.
//!
//! `app` makes one [`Clock`] and one [`Seed`] and hands clones to every part; tests make their own
//! and move the time by hand. Never read by `std` calls elsewhere: `clippy.toml` bans them.

use std::fmt;
use std::ops::Add;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rand::SeedableRng;
use rand::rngs::StdRng;
use tokio::sync::watch;

/// A point on a clock's own monotonic scale; only comparable with points of the same clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Moment(Duration);

impl Moment {
    /// Time passed since `earlier`; zero if `earlier` is in fact later.
    #[must_use]
    pub fn since(self, earlier: Moment) -> Duration {
        self.0.saturating_sub(earlier.0)
    }
}

impl Add<Duration> for Moment {
    type Output = Moment;

    fn add(self, time: Duration) -> Moment {
        Moment(self.0.saturating_add(time))
    }
}

/// Tells the time, and waits for it. Cheap to clone; clones tell the same time.
#[derive(Clone, Debug)]
pub struct Clock(Source);

#[derive(Clone, Debug)]
enum Source {
    /// Monotonic time counts from this instant.
    System(Instant),
    Test {
        start_ms: u64,
        passed: watch::Receiver<Duration>,
    },
}

/// Waited in vain: the deadline of [`Clock::deadline`] passed first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the deadline passed")]
pub struct DeadlinePassed;

impl Clock {
    /// The machine's clock.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "this is the home of ambient time")]
    pub fn system() -> Clock {
        Clock(Source::System(Instant::now()))
    }

    /// A clock that stands at `start_ms` (milliseconds since 1970) until its [`Hand`] moves it.
    #[must_use]
    pub fn test(start_ms: u64) -> (Clock, Hand) {
        let (hand, passed) = watch::channel(Duration::ZERO);
        (Clock(Source::Test { start_ms, passed }), Hand(Arc::new(hand)))
    }

    /// Milliseconds since 1970 by the wall clock, which may step back: order events by stamps.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "this is the home of ambient time")]
    pub fn now_ms(&self) -> u64 {
        match &self.0 {
            // A wall clock before 1970 is a broken one: stamps then count from 1970 on their own.
            Source::System(_) => SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .map_or(0, |since| since.as_millis() as u64),
            Source::Test { start_ms, passed } => start_ms + passed.borrow().as_millis() as u64,
        }
    }

    /// Now, on the monotonic scale.
    #[must_use]
    pub fn now(&self) -> Moment {
        match &self.0 {
            Source::System(start) => Moment(start.elapsed()),
            Source::Test { passed, .. } => Moment(*passed.borrow()),
        }
    }

    /// A moment as the standard library tells it, for those who look at the machine's clock
    /// themselves. `None`: it never comes by that clock.
    #[must_use]
    pub fn instant(&self, moment: Moment) -> Option<Instant> {
        match &self.0 {
            Source::System(start) => start.checked_add(moment.0),
            Source::Test { .. } => None,
        }
    }

    /// Waits until `time` has passed.
    pub async fn sleep(&self, time: Duration) {
        self.sleep_until(self.now() + time).await;
    }

    /// Waits until the clock shows `moment`; at once if it already does.
    #[expect(clippy::disallowed_methods, reason = "this is the home of ambient time")]
    pub async fn sleep_until(&self, moment: Moment) {
        match &self.0 {
            Source::System(_) => tokio::time::sleep(moment.since(self.now())).await,
            Source::Test { passed, .. } => {
                let mut passed = passed.clone();
                if passed.wait_for(|now| *now >= moment.0).await.is_err() {
                    // The hand is gone: this time never comes.
                    std::future::pending::<()>().await;
                }
            }
        }
    }

    /// Waits for `future`, at most `time`.
    ///
    /// # Errors
    /// [`DeadlinePassed`], and then `future` has been dropped.
    pub async fn deadline<F: Future>(
        &self,
        time: Duration,
        future: F,
    ) -> Result<F::Output, DeadlinePassed> {
        tokio::select! {
            biased;
            output = future => Ok(output),
            () = self.sleep(time) => Err(DeadlinePassed),
        }
    }
}

/// Moves a test clock.
#[derive(Clone, Debug)]
pub struct Hand(Arc<watch::Sender<Duration>>);

impl Hand {
    /// Lets `time` pass at once for every clone of the clock.
    pub fn advance(&self, time: Duration) {
        self.0.send_modify(|passed| *passed += time);
    }
}

/// Where all randomness of a process comes from: the same seed gives the same numbers.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Seed([u8; 32]);

impl Seed {
    /// A fixed seed, for tests.
    #[must_use]
    pub fn fixed(number: u64) -> Seed {
        Seed(*blake3::hash(&number.to_le_bytes()).as_bytes())
    }

    /// A fresh seed from the operating system.
    #[must_use]
    pub fn fresh() -> Seed {
        Seed(rand::random())
    }

    /// A generator for one purpose. Purposes are independent: a new one does not change the others.
    #[must_use]
    pub fn generator(&self, purpose: &str) -> StdRng {
        StdRng::from_seed(*blake3::keyed_hash(&self.0, purpose.as_bytes()).as_bytes())
    }
}

impl fmt::Debug for Seed {
    /// Device ids and jitter follow from it, but no secrets; still it is of no use in a log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Seed")
    }
}

#[cfg(test)]
mod tests;
