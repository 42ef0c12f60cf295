use super::*;
use crate::outcome::{Check, Dialect};

/// A run with one CPU figure; what the tests of reports are made of.
pub(crate) fn outcome(name: &str, round: u32, cpu_us: f64) -> Outcome {
    Outcome {
        scenario: "fan-out".to_owned(),
        load: "100 readers, window 16".to_owned(),
        settings: serde_json::json!({ "readers": 100 }),
        server: Server {
            name: name.to_owned(),
            version: "1.0".to_owned(),
            command: format!("{name} serve"),
            dialect: Dialect::YWebsocket,
            is_floor: name == "floor",
        },
        round,
        order: 1,
        measured_s: 5.0,
        figures: vec![
            Figure::less("CPU per delivery", "µs", cpu_us),
            Figure::neither("rig CPU", "cores", 0.5),
        ],
        latency: Some(Latency {
            p50_us: 500,
            p90_us: 900,
            p99_us: 2_000,
            p999_us: 3_000,
            max_us: 4_000,
            curve: vec![(0.0, 100), (0.5, 500), (0.9, 900), (0.99, 2_000), (0.999, 3_000)],
        }),
        series: Vec::new(),
        checks: vec![Check::new("nothing lost", true, "0 of 10 lost")],
        warnings: Vec::new(),
    }
}

#[test]
fn medians_are_in_the_middle() {
    assert_eq!(median(&mut []), None);
    assert_eq!(median(&mut [3.0]), Some(3.0));
    assert_eq!(median(&mut [9.0, 1.0, 2.0]), Some(2.0));
    assert_eq!(median(&mut [4.0, 1.0, 2.0, 9.0]), Some(3.0));
}

#[test]
fn a_ratio_is_taken_within_each_round() {
    // The machine was half as fast in the second round, for both.
    let runs = [("sheaf", 1, 0.8), ("floor", 1, 1.0), ("floor", 2, 2.0), ("sheaf", 2, 1.6)];
    let runs = runs.map(|(name, round, cpu_us)| outcome(name, round, cpu_us));
    let summaries = summaries(&runs);
    let [summary] = summaries.as_slice() else { panic!("{summaries:?}") };
    assert_eq!(summary.base, Some(1));
    let row = &summary.rows[0];
    let sheaf = row.cells[0].unwrap();
    assert_eq!((sheaf.min, sheaf.max, sheaf.ratio), (0.8, 1.6, Some(0.8)));
    assert_eq!(row.cells[1].unwrap().ratio, Some(1.0));
    assert_eq!(summary.rows[1].cells[0].unwrap().ratio, None, "it is no better either way");
}

#[test]
fn without_a_floor_the_first_server_is_the_measure() {
    let two = [outcome("sheaf", 1, 1.0), outcome("peer", 1, 3.0)];
    let summary = summaries(&two).remove(0);
    assert_eq!(summary.base, Some(0));
    assert_eq!(summary.rows[0].cells[1].unwrap().ratio, Some(3.0));
    assert_eq!(summaries(&two[..1])[0].base, None);
}

#[test]
fn a_ratio_to_nothing_is_none() {
    let runs = [outcome("sheaf", 1, 1.0), outcome("floor", 1, 0.0)];
    assert_eq!(summaries(&runs)[0].rows[0].cells[0].unwrap().ratio, None);
}

#[test]
fn failures_of_several_rounds_are_told_once() {
    let mut runs = [1, 2, 3].map(|round| outcome("sheaf", round, 1.0));
    for (lost, run) in runs.iter_mut().enumerate().skip(1) {
        run.checks.push(Check::new("nothing lost", false, format!("{lost} of 9 lost")));
    }
    let column = &summaries(&runs)[0].columns[0];
    assert_eq!(column.failures, [("nothing lost: 1 of 9 lost".to_owned(), 2)]);
}

#[test]
fn loads_are_not_mixed() {
    let mut other = outcome("sheaf", 1, 1.0);
    other.load = "100 readers, 100 updates/s".to_owned();
    assert_eq!(summaries(&[outcome("sheaf", 1, 1.0), other]).len(), 2);
}
