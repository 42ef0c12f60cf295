use super::*;
use crate::compare::summary::summaries;
use crate::compare::summary::tests::outcome;
use crate::outcome::Check;

fn table(outcomes: &[crate::outcome::Outcome]) -> String {
    let mut out = Vec::new();
    write(&mut out, &summaries(outcomes)).unwrap();
    String::from_utf8(out).unwrap()
}

#[test]
fn servers_stand_side_by_side_with_their_ratios() {
    let runs = [("sheaf", 1, 0.3), ("floor", 1, 0.4), ("floor", 2, 0.5), ("sheaf", 2, 0.35)];
    let text = table(&runs.map(|(name, round, cpu_us)| outcome(name, round, cpu_us)));
    let expected = "\
fan-out: 100 readers, window 16; 5.0 s measured, medians of 2 rounds [min–max]
× is the ratio to floor

                                           sheaf                 floor
  CPU per delivery, µs 0.325 [0.300–0.350] 0.725×   0.450 [0.400–0.500]";
    let squeezed = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(squeezed(&text).starts_with(&squeezed(expected)), "{text}");
    let ends: Vec<usize> = text.lines().skip(3).take(6).map(|line| line.chars().count()).collect();
    assert!(ends.iter().all(|end| *end == ends[0]), "the last column is not aligned:\n{text}");
    assert!(text.ends_with("  sheaf: all checks passed\n  floor: all checks passed\n"), "{text}");
}

#[test]
fn a_failed_check_is_loud() {
    let mut run = outcome("sheaf", 1, 0.3);
    run.checks.push(Check::new("nothing lost", false, "3 of 10 lost"));
    run.warnings.push("the rig is busy".to_owned());
    let text = table(&[run]);
    assert!(text.contains("sheaf: CHECK FAILED: nothing lost: 3 of 10 lost\n"), "{text}");
    assert!(text.contains("sheaf: warning: the rig is busy\n"), "{text}");
    assert!(!text.contains("passed"), "{text}");
}

#[test]
fn many_servers_are_cut_into_several_tables() {
    let names = ["a", "b", "c", "d", "e", "f", "g", "h"];
    let runs: Vec<_> =
        [1, 2].iter().flat_map(|round| names.map(|name| outcome(name, *round, 1.0))).collect();
    let text = table(&runs);
    assert!(text.lines().all(|line| line.chars().count() <= COLUMNS_MAX + 2), "{text}");
    assert_eq!(text.matches("CPU per delivery, µs").count(), 3, "{text}");
}

#[test]
fn numbers_have_three_digits_that_count() {
    let texts = [1_742_942.4, 110.4, 12.34, 1.0, 0.3251, 0.0, -0.5, 999.6].map(number);
    assert_eq!(texts, ["1,742,942", "110", "12.3", "1.00", "0.325", "0", "−0.500", "1,000"]);
}
