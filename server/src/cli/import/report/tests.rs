//! What is said at the end.

use super::*;

#[test]
fn the_sum_names_what_there_was() {
    let mut report = Report::default();
    assert_eq!(report.sum(), "no documents");
    report.count("a", 1_000, Outcome::Created);
    report.count("b", 24, Outcome::Created);
    report.count("c", 0, Outcome::Empty);
    report.count("d", 5, Outcome::Skipped("no".to_owned()));
    report.count("e", 0, Outcome::Cut);
    let sum = "2 created, 1 incomplete, 1 empty and left out, 1 skipped; 1.00 KiB";
    assert_eq!(report.sum(), sum);
}
