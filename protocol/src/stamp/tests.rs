use super::*;

#[test]
fn a_stamp_has_golden_bytes_and_text() {
    let stamp = Stamp::new(1_700_000_000_000, 5, 0x0102_0304_0506_0708);
    assert_eq!(
        stamp.to_bytes(),
        [0x01, 0x8b, 0xcf, 0xe5, 0x68, 0x00, 0x00, 0x05, 1, 2, 3, 4, 5, 6, 7, 8]
    );
    assert_eq!(stamp.to_string(), "01HF7YAT00002G20G30G2GC1R8");
    assert_eq!(Stamp::from_bytes(stamp.to_bytes()), stamp);
    assert_eq!((stamp.ms(), stamp.counter()), (1_700_000_000_000, 5));
    assert_eq!(stamp.device(), 0x0102_0304_0506_0708);
}

#[test]
fn text_goes_there_and_back_and_sorts_as_the_value() {
    let clock = StampClock::new(u64::MAX);
    let mut last = Stamp::ZERO;
    for now_ms in [1, 1, 2, 1, 0, 1 << 40, (1 << 48) - 3] {
        let stamp = clock.tick(now_ms);
        assert!(stamp > last && stamp.to_string() > last.to_string());
        assert_eq!(stamp.to_string().parse(), Ok(stamp));
        assert_eq!(stamp.to_string().to_lowercase().parse(), Ok(stamp));
        last = stamp;
    }
}

#[test]
fn what_is_no_ulid_is_refused() {
    let good = Stamp::ZERO.to_string();
    for text in ["", "0", &good[1..], &format!("{good}0"), &format!("8{}", &good[1..])] {
        assert_eq!(text.parse::<Stamp>(), Err(NotAStamp), "{text}");
    }
    assert_eq!(format!("U{}", &good[1..]).parse::<Stamp>(), Err(NotAStamp));
    assert_eq!(format!("{}é", &good[2..]).parse::<Stamp>(), Err(NotAStamp));
    assert_eq!(format!("o{}", &good[1..]).parse::<Stamp>(), Ok(Stamp::ZERO));
}

#[test]
fn a_clock_that_stands_still_goes_on_counting() {
    let clock = StampClock::new(1);
    let mut last = clock.tick(10);
    for _ in 0..70_000 {
        let next = clock.tick(10);
        assert!(next > last);
        last = next;
    }
    assert_eq!((last.ms(), last.counter()), (11, 4_464));
}

#[test]
fn a_raised_clock_gives_only_later_stamps() {
    let clock = StampClock::new(1);
    let seen = Stamp::new(500, 7, 9);
    clock.raise(seen);
    assert!(clock.tick(3) > seen);
    assert_eq!(clock.tick(3), Stamp::new(500, 9, 1));
}

#[test]
fn a_stamp_too_far_ahead_is_refused_and_changes_nothing() {
    let clock = StampClock::new(7);
    let ahead = |ms| Stamp::new(ms, 9, 3);
    assert_eq!(clock.observe(ahead(1_101), 1_000, 100), Err(Ahead));
    assert_eq!(clock.tick(1_000), Stamp::new(1_000, 0, 7));
    assert_eq!(clock.observe(ahead(1_100), 1_000, 100), Ok(()));
    assert_eq!(clock.tick(1_000), Stamp::new(1_100, 10, 7));
    assert_eq!(clock.observe(ahead(5), 1_000, 100), Ok(()), "an old one is nothing new");
    assert_eq!(clock.tick(1_000), Stamp::new(1_100, 11, 7));
    assert_eq!(clock.observe(ahead((1 << 48) - 1), u64::MAX, 1), Ok(()), "no overflow");
}

#[test]
fn those_who_share_a_clock_never_get_the_same_stamp() {
    let clock = StampClock::new(1);
    let take = || (0..10_000).map(|_| clock.tick(5)).collect::<Vec<_>>();
    let mut all = std::thread::scope(|scope| {
        let takers = [scope.spawn(take), scope.spawn(take)];
        takers.into_iter().flat_map(|taker| taker.join().unwrap()).collect::<Vec<_>>()
    });
    all.sort_unstable();
    all.dedup();
    assert_eq!(all.len(), 20_000);
}
