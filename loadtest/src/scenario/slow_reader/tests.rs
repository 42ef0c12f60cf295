use super::*;
use crate::floor::Faults;
use crate::floor::tests::{start, test};
use crate::progress::Overall;

async fn outcome(faults: Faults) -> Outcome {
    let mut tasks = JoinSet::new();
    let target = start(&mut tasks, faults);
    let plan = Plan { readers: 1, megabytes: 3, warm_up_megabytes: 1, rate: 400.0 };
    run(&plan, &target, &Progress::new("test", &Overall::new(1))).await.unwrap()
}

#[test]
fn a_sound_relay_passes_and_is_compared_with_itself() {
    test(async {
        let outcome = outcome(Faults::default()).await;
        assert!(outcome.is_clean(), "{:?}", outcome.checks);
        assert!(outcome.figures.iter().any(|figure| figure.name.starts_with("p99, one stalled")));
    });
}
