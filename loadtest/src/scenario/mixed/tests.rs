use super::day::wanted;
use super::*;
use crate::floor::Faults;
use crate::floor::tests::{start, test};
use crate::progress::Overall;

#[test]
fn people_come_in_the_morning_and_are_gone_at_midnight() {
    assert!(wanted(3.0) < 0.1 && wanted(8.0) > 0.3);
    assert!((wanted(10.5) - 1.0).abs() < 1e-9);
    assert!(wanted(12.0) < wanted(14.5) && wanted(23.9) < 0.01);
}

#[test]
fn a_short_day_at_the_relay_ends_with_everybody_home() {
    test(async {
        let mut tasks = JoinSet::new();
        let target = start(&mut tasks, Faults::default());
        let plan = Plan {
            documents: 3,
            people: 20,
            history: 300,
            keys: 30.0,
            paste: 50,
            seconds: 2.0,
            rebuild: 1,
        };
        let progress = Progress::new("test", &Overall::new(1));
        let outcome = run(&plan, &target, &progress).await.unwrap();
        assert!(outcome.is_clean(), "{:?} {:?}", outcome.checks, outcome.warnings);
        let figure = |name: &str| {
            let found = outcome.figures.iter().find(|figure| figure.name == name);
            found.map(|figure| figure.value).unwrap()
        };
        assert!(figure("visits") > 20.0 && figure("came back after the storm") > 0.0);
        assert!(figure("delivered") > 10.0);
    });
}
