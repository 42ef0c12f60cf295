use super::*;
use crate::compare::summary::tests::outcome;

fn machine(date: &str) -> Machine {
    Machine {
        date: date.to_owned(),
        cpu: "Quick".to_owned(),
        cores: 2,
        kernel: "Linux 6".to_owned(),
    }
}

fn write_run(docs: &Path, date: &str, row: &'static Row, ours_us: f64) -> String {
    let machine = machine(date);
    let outcomes = [outcome("sheaf", 1, ours_us), outcome("floor", 1, 1.0)];
    let kept = Kept::of(&outcomes, &machine, "abc", row.arguments);
    kept::write(docs, row.name, &kept).unwrap();
    let not_run = [("y-sweet".to_owned(), "not installed: make peers".to_owned())];
    let run = Run { machine: &machine, commit: "abc", rows: &[row], not_run: &not_run };
    write(docs, &run).unwrap();
    fs::read_to_string(docs.join("benchmarks.md")).unwrap()
}

#[test]
fn lines_measured_earlier_and_the_history_stay() {
    let docs = tempfile::tempdir().unwrap();
    let first = write_run(docs.path(), "2026-11-22", &ROWS[0], 0.8);
    assert!(
        first.contains("| fan-out-closed | CPU per delivery | ≤ 0.9 × floor | 0.800 × | reached |")
    );
    assert!(first.contains("- y-sweet: not installed: make peers\n"), "{first}");
    let second = write_run(docs.path(), "2026-11-23", &ROWS[2], 1.5);
    assert!(second.contains(ROWS[0].title) && second.contains(ROWS[2].title), "{second}");
    assert!(second.contains("≤ 1.25 × floor | 1.50 × | **missed** |"), "{second}");
    let lines: Vec<&str> = second.lines().filter(|line| line.starts_with("| 2026")).collect();
    let [before, now] = lines.as_slice() else { panic!("{second}") };
    assert!(before.starts_with("| 2026-11-22 | abc | Quick, 2 cores, Linux 6 | 0.800 × | – |"));
    assert!(now.contains("| – | – | 1.50 × |"), "{now}");
}

#[test]
fn the_history_follows_when_lines_of_the_benchmark_come_and_go() {
    let docs = tempfile::tempdir().unwrap();
    let [first, _, third, ..] = ROWS else { panic!("there are three") };
    // As written when the third line was not there yet, and another one that went since.
    let old = format!(
        "{HISTORY}\n\n| date | commit | machine | {} | bygone |\n|---|---|---|---:|---:|\n\
         | 2026-01-02 | old | Slow, 1 cores | 0.700 × | 3.00 ms |\n",
        first.name
    );
    fs::write(docs.path().join("benchmarks.md"), old).unwrap();
    let page = write_run(docs.path(), "2026-11-23", third, 1.5);
    let (_, history) = page.split_once(HISTORY).unwrap();
    let table = history.lines().filter(|line| line.starts_with('|')).map(cells);
    let [heads, _, before, now] = table.collect::<Vec<_>>().try_into().unwrap();
    let value = |row: &[&str], name: &str| {
        row[heads.iter().position(|head| *head == name).expect(name)].to_owned()
    };
    assert_eq!([before.len(), now.len()], [heads.len(); 2], "{history}");
    assert_eq!(before[..3], ["2026-01-02", "old", "Slow, 1 cores"]);
    for (name, then, today) in
        [(first.name, "0.700 ×", "–"), (third.name, "–", "1.50 ×"), ("bygone", "3.00 ms", "–")]
    {
        assert_eq!([value(&before, name), value(&now, name)], [then, today], "{name}");
    }
}
