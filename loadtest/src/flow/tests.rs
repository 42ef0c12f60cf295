use super::*;
use crate::floor::Faults;
use crate::floor::tests::{start, test};
use crate::progress::Overall;

/// A short flow; 16 open edits of 2 documents.
fn shape(kind: Kind) -> Shape {
    Shape {
        scenario: "saturate",
        span: Span { warm_up: 0.0, seconds: 0.2 },
        documents: 2,
        readers: 2,
        pace: Pace::Window(16),
        kind,
        premade: 1_000,
        seed: None,
        rebuild: 2,
        beside: Beside::default(),
        room: None,
    }
}

async fn outcome(shape: &Shape, faults: Faults) -> Outcome {
    let mut tasks = JoinSet::new();
    let target = start(&mut tasks, faults);
    run(shape, &target, &Progress::new("test", &Overall::new(1)), &Crew::Alone).await.unwrap()
}

fn failed(outcome: &Outcome) -> Vec<&str> {
    let failed = outcome.checks.iter().filter(|check| !check.is_passed);
    failed.map(|check| check.name.as_str()).collect()
}

#[test]
fn every_pace_and_kind_of_edit_passes_its_checks_on_a_sound_relay() {
    test(async {
        for kind in [Kind::Chained, Kind::Scattered] {
            for pace in [Pace::Window(1), Pace::Window(16), Pace::Rate(500.0)] {
                let shape = Shape { pace, ..shape(kind) };
                let outcome = outcome(&shape, Faults::default()).await;
                assert_eq!(failed(&outcome), <[&str; 0]>::default(), "{:?}", outcome.checks);
                assert!(outcome.latency.is_some());
                assert!(outcome.figures[0].value > 100.0, "{:?}", outcome.figures);
            }
        }
    });
}

#[test]
fn a_relay_that_loses_an_update_fails() {
    test(async {
        // An open loop, because a closed one would wait for what is lost.
        let shape = Shape { pace: Pace::Rate(400.0), ..shape(Kind::Chained) };
        let outcome = outcome(&shape, Faults { lose_every: 20, swap_every: 0 }).await;
        assert_eq!(failed(&outcome), ["nothing lost", "replicas equal"]);
    });
}

#[test]
fn a_relay_that_changes_the_order_fails() {
    test(async {
        let outcome =
            outcome(&shape(Kind::Chained), Faults { lose_every: 0, swap_every: 20 }).await;
        assert_eq!(failed(&outcome), ["in order"]);
    });
}

#[test]
fn a_load_beside_many_documents_passes_its_checks() {
    test(async {
        let shape = Shape { beside: Beside { beside: 40 }, ..shape(Kind::Chained) };
        let outcome = outcome(&shape, Faults::default()).await;
        assert_eq!(failed(&outcome), <[&str; 0]>::default(), "{:?}", outcome.checks);
    });
}

#[test]
fn a_connection_beside_the_load_that_ends_is_one_that_broke_off() {
    test(async {
        let mut tasks = JoinSet::new();
        let target = start(&mut tasks, Faults::default());
        let idler = bot::connect(&target, "beside").await.unwrap();
        let load = Rc::new(Load::new(Span { warm_up: 0.0, seconds: 1.0 }));
        tasks.abort_all();
        while tasks.join_next().await.is_some() {}
        stay(Rc::clone(&load), idler).await;
        let [failure] = <[String; 1]>::try_from(load.failures()).unwrap();
        assert!(failure.starts_with("beside: "), "{failure}");
    });
}
