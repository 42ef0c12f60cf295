use super::*;
use crate::compare::summary::summaries;
use crate::compare::summary::tests::outcome;

const CPU: &str = "CPU per delivery";

fn summary(ours_us: f64, floor_us: f64) -> Summary {
    summaries(&[outcome("sheaf", 1, ours_us), outcome("floor", 1, floor_us)]).remove(0)
}

fn nothing(_: &str) -> Option<&'static Summary> {
    None
}

#[test]
fn a_bar_is_reached_up_to_its_limit() {
    let bar = Bar { figure: CPU, limit: Limit::BelowFloor(0.9) };
    let good = verdict(&bar, Some(&summary(0.36, 0.4)), nothing);
    assert_eq!((text(&bar).as_str(), good.reached.as_str()), ("≤ 0.9 × floor", "0.900 ×"));
    assert_eq!(good.is_reached, Some(true));
    assert_eq!(verdict(&bar, Some(&summary(0.4, 0.4)), nothing).is_reached, Some(false));
    let bar = Bar { figure: CPU, limit: Limit::Value(0.3, "µs") };
    let absolute = verdict(&bar, Some(&summary(0.25, 0.4)), nothing);
    assert_eq!((text(&bar).as_str(), absolute.reached.as_str()), ("≤ 0.3 µs", "0.250 µs"));
}

#[test]
fn what_was_not_measured_is_not_reached() {
    let bar = Bar { figure: CPU, limit: Limit::BelowFloor(0.9) };
    let alone = summaries(&[outcome("sheaf", 1, 0.3)]).remove(0);
    assert_eq!(verdict(&bar, Some(&alone), nothing).is_reached, None);
    let peers = summaries(&[outcome("sheaf", 1, 0.3), outcome("peer", 1, 9.0)]).remove(0);
    assert_eq!(verdict(&bar, Some(&peers), nothing).is_reached, None, "a peer is no floor");
}

#[test]
fn growth_is_held_against_the_floors_own() {
    let bar = Bar { figure: CPU, limit: Limit::Growth("empty", 1.05) };
    let empty = summary(0.5, 1.0);
    let grown = |ours_us| verdict(&bar, Some(&summary(ours_us, 1.2)), |_| Some(&empty)).is_reached;
    assert_eq!(grown(0.6), Some(true));
    assert_eq!(grown(0.7), Some(false));
}
