use super::*;
use crate::floor::Faults;
use crate::floor::tests::{start as relay, test};
use crate::load::Span;
use crate::measure::measure;
use crate::progress::{Overall, Progress};

async fn failed(faults: Faults, is_whole: bool) -> Vec<String> {
    let mut tasks = JoinSet::new();
    let target = relay(&mut tasks, faults);
    let habits = Habits {
        documents: 3,
        people: 3,
        keys: 40.0,
        cursors: 10.0,
        trace: None,
        is_whole,
        rebuild: 1,
    };
    let span = Span { warm_up: 0.0, seconds: 0.6 };
    let load = Rc::new(Load::new(span));
    let documents = Rc::new(connect(&habits, &target, &load).await.unwrap());
    load.begin();
    start(&documents, &habits, &mut tasks);
    let is_settled = || documents.iter().all(|document| document.is_settled());
    let progress = Progress::new("test", &Overall::new(1));
    measure(&target, &progress, &load, span, is_settled).await.unwrap();
    assert!(load.deliveries() > 50);
    assert!(documents.iter().map(|document| document.cursors_seen.get()).sum::<u64>() > 10);
    let checks = checks::checks(&target, &documents).await;
    checks.into_iter().filter(|check| !check.is_passed).map(|check| check.name).collect()
}

#[test]
fn people_at_a_sound_relay_see_everything_and_one_that_loses_is_found_out() {
    test(async {
        assert_eq!(failed(Faults::default(), false).await, [""; 0]);
        assert_eq!(failed(Faults::default(), true).await, [""; 0]);
        let failed = failed(Faults { lose_every: 7, swap_every: 0 }, false).await;
        assert!(failed.contains(&"nothing lost".to_owned()), "{failed:?}");
    });
}
