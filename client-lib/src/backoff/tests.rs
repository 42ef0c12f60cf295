//! Waits grow, stay inside their bounds and differ between replicas.

use super::*;

#[test]
fn waits_double_up_to_the_cap_and_start_over_after_a_sync() {
    let bounds = Backoff { first: Duration::from_millis(100), cap: Duration::from_secs(1) };
    let mut waits = Waits::new(bounds, 1);
    for bound_ms in [100, 200, 400, 800, 1_000, 1_000] {
        let (wait, bound) = (waits.next(), Duration::from_millis(bound_ms));
        assert!(wait >= bound / 2 && wait <= bound, "{wait:?} is not within {bound:?}");
    }
    waits.reset();
    assert!(waits.next() <= Duration::from_millis(100));
}

#[test]
fn two_replicas_do_not_knock_together() {
    let first = Waits::new(Backoff::default(), 1).next();
    let second = Waits::new(Backoff::default(), 2).next();
    assert_ne!(first, second);
}

#[test]
fn a_thousand_failures_do_not_overflow() {
    let mut waits = Waits::new(Backoff::default(), 3);
    assert!((0..1_000).map(|_| waits.next()).all(|wait| wait <= Backoff::default().cap));
}
