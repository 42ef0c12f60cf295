//! The test clock is the one that needs testing: the system clock is `std`'s.

use std::pin::pin;
use std::task::{Context, Poll, Waker};

use rand::RngExt;

use super::*;

#[test]
fn a_test_clock_stands_until_it_is_moved() {
    let (clock, hand) = Clock::test(1_000);
    let before = clock.now();
    assert_eq!(clock.now_ms(), 1_000);
    hand.advance(Duration::from_millis(250));
    assert_eq!(clock.now_ms(), 1_250);
    assert_eq!(clock.now().since(before), Duration::from_millis(250));
    assert_eq!(before.since(clock.now()), Duration::ZERO);
}

#[test]
fn a_sleeper_wakes_when_the_hand_passes_its_moment() {
    let (clock, hand) = Clock::test(0);
    let mut context = Context::from_waker(Waker::noop());
    let mut sleep = pin!(clock.sleep(Duration::from_secs(5)));
    assert_eq!(sleep.as_mut().poll(&mut context), Poll::Pending);
    hand.advance(Duration::from_secs(4));
    assert_eq!(sleep.as_mut().poll(&mut context), Poll::Pending);
    hand.advance(Duration::from_secs(1));
    assert_eq!(sleep.as_mut().poll(&mut context), Poll::Ready(()));
}

#[tokio::test]
async fn a_deadline_lets_the_quicker_one_win() {
    let (clock, hand) = Clock::test(0);
    let second = Duration::from_secs(1);
    assert_eq!(clock.deadline(second, async { 7 }).await, Ok(7));
    let late = clock.clone();
    let waiting = tokio::join!(late.deadline(second, std::future::pending::<()>()), async {
        hand.advance(second);
    });
    assert_eq!(waiting.0, Err(DeadlinePassed));
}

#[test]
fn a_seed_gives_the_same_numbers_for_the_same_purpose_only() {
    let seed = Seed::fixed(7);
    let number = |seed: Seed, purpose: &str| seed.generator(purpose).random::<u64>();
    assert_eq!(number(seed, "device"), number(Seed::fixed(7), "device"));
    assert_ne!(number(seed, "device"), number(seed, "jitter"));
    assert_ne!(number(seed, "device"), number(Seed::fixed(8), "device"));
}
