use proptest::prelude::*;

use super::*;

const NOW_MS: u64 = 1_000 * DAY_MS + 5 * HOUR_MS;

fn kept_of(ages_ms: &[u64]) -> Vec<u64> {
    let mut ages = ages_ms.to_vec();
    ages.sort_unstable_by(|one, other| other.cmp(one));
    let versions: Vec<_> =
        ages.iter().map(|age| Aged { ms: NOW_MS - age, is_needed: false }).collect();
    let kept = Config::default().kept(&versions, NOW_MS);
    ages.into_iter().zip(kept).filter_map(|(age, is_kept)| is_kept.then_some(age)).collect()
}

#[test]
fn all_of_a_day_stay_then_one_an_hour_then_one_a_day() {
    let minute = HOUR_MS / 60;
    assert_eq!(kept_of(&[0, 1, 2, 23 * HOUR_MS]), [23 * HOUR_MS, 2, 1, 0]);
    // NOW_MS is on the hour: these four are of two hours.
    let hour = 30 * HOUR_MS;
    let of_hours = [0, hour + minute, hour + 2 * minute, hour + 61 * minute, hour + 62 * minute];
    assert_eq!(kept_of(&of_hours), [hour + 61 * minute, hour + minute, 0]);
    let day = 10 * DAY_MS + 5 * HOUR_MS;
    let of_days = [0, day + minute, day + 20 * HOUR_MS, day + DAY_MS + HOUR_MS];
    assert_eq!(kept_of(&of_days), [day + DAY_MS + HOUR_MS, day + minute, 0]);
    assert_eq!(kept_of(&[0, 100 * DAY_MS, 91 * DAY_MS]), [0]);
}

#[test]
fn the_latest_and_the_named_stay_whatever_their_age() {
    let old = |is_needed| Aged { ms: 0, is_needed };
    let kept = Config::default().kept(&[old(false), old(true), old(false), old(false)], NOW_MS);
    assert_eq!(kept, [false, true, false, true]);
}

proptest! {
    #[test]
    fn thinning_twice_is_thinning_later(
        mut times in proptest::collection::vec(0..100 * DAY_MS, 1..200),
        names in proptest::collection::vec(any::<bool>(), 200),
        later in 0..50 * DAY_MS,
    ) {
        times.sort_unstable();
        let now = 100 * DAY_MS;
        let aged = |(ms, is_needed): (&u64, &bool)| Aged { ms: *ms, is_needed: *is_needed };
        let all: Vec<Aged> = times.iter().zip(&names).map(aged).collect();
        let thin = |versions: &[Aged], now| -> Vec<Aged> {
            let kept = Config::default().kept(versions, now);
            versions.iter().zip(kept).filter_map(|(it, is)| is.then_some(*it)).collect()
        };
        let twice = thin(&thin(&all, now), now + later);
        let once = thin(&all, now + later);
        // What an earlier thinning left decides as well which is the last of its span.
        prop_assert!(twice.len() <= once.len() + 1, "{} and {}", twice.len(), once.len());
        prop_assert!(once.iter().filter(|it| it.is_needed).all(|it| twice.contains(it)));
        prop_assert_eq!(twice.last(), all.last());
    }
}
