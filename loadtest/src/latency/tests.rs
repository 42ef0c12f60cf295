use super::*;

#[test]
fn a_curve_rises_to_the_slowest() {
    let mut all = histogram();
    (1..=10_000).for_each(|us| all.saturating_record(us));
    let summary = summary(&all).unwrap();
    assert!((4_990..=5_010).contains(&summary.p50_us), "{}", summary.p50_us);
    assert!((9_890..=9_910).contains(&summary.p99_us), "{}", summary.p99_us);
    assert_eq!(summary.curve.last().unwrap().1, summary.max_us);
    assert!(summary.curve.is_sorted_by(|a, b| a.0 < b.0 && a.1 <= b.1));
}

#[test]
fn nothing_measured_is_no_latency() {
    assert_eq!(summary(&histogram()), None);
}
