//! A meter under a clock moved by hand.

use super::*;

#[test]
fn a_burst_is_let_through_and_then_the_rate() {
    let (clock, hand) = Clock::test(0);
    let meter = Meter::new(&clock);
    let rate = Rate::new(2, Duration::from_secs(1));
    for _ in 0..20 {
        assert_eq!(meter.take("a", rate), Ok(()));
    }
    let wait = meter.take("a", rate).expect_err("ten seconds' worth are gone");
    assert_eq!(wait, Duration::from_millis(500));
    assert_eq!(meter.check(&"a", rate), Err(wait));
    assert_eq!(meter.take("b", rate), Ok(()), "another key");
    hand.advance(wait);
    assert_eq!(meter.take("a", rate), Ok(()));
    assert!(meter.take("a", rate).is_err());
    hand.advance(Duration::from_secs(60));
    assert_eq!((0..30).filter(|_| meter.take("a", rate).is_ok()).count(), 20);
}

#[test]
fn a_rate_of_zero_is_none() {
    let (clock, _hand) = Clock::test(0);
    let meter = Meter::new(&clock);
    assert!((0..10_000).all(|_| meter.take((), Rate::new(0, Duration::from_secs(1))).is_ok()));
}

#[test]
fn the_keys_of_a_meter_are_bounded() {
    let (clock, hand) = Clock::test(0);
    let meter = Meter::new(&clock);
    let rate = Rate::new(1, Duration::from_secs(1));
    for key in 0..KEYS_MAX + 10 {
        assert_eq!(meter.take(key, rate), Ok(()));
    }
    assert_eq!(meter.full.lock().len(), KEYS_MAX);
    hand.advance(Duration::from_secs(2));
    assert_eq!(meter.take(KEYS_MAX + 11, rate), Ok(()));
    assert_eq!(meter.full.lock().len(), 1, "those that have been quiet go");
}

#[test]
fn an_address_is_one_of_ipv4_or_a_64_of_ipv6() {
    let of = |text: &str| network(text.parse().expect("an address"));
    assert_eq!(of("127.0.0.1"), None);
    assert_eq!(of("::1"), None);
    assert_eq!(of("::ffff:127.0.0.1"), None);
    assert_eq!(of("::ffff:192.0.2.1"), of("192.0.2.1"));
    assert_eq!(of("2001:db8::1"), of("2001:db8::ffff:2"));
    assert_ne!(of("2001:db8::1"), of("2001:db8:0:1::1"));
}
