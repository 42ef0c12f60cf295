use super::*;
use crate::floor::Faults;
use crate::floor::tests::{start, test};
use crate::progress::Overall;

const PLAN: Plan = Plan { readers: 1, megabytes: 3, warm_up_megabytes: 1, rate: 400.0 };

async fn outcome(faults: Faults) -> Outcome {
    let mut tasks = JoinSet::new();
    let mut target = start(&mut tasks, faults);
    target.is_floor = true;
    run(&PLAN, &target, &Progress::new("test", &Overall::new(1))).await.unwrap()
}

#[test]
fn a_sound_relay_passes_and_is_compared_with_itself() {
    test(async {
        let outcome = outcome(Faults::default()).await;
        assert!(outcome.is_clean(), "{:?}", outcome.checks);
        assert!(outcome.figures.iter().any(|figure| figure.name.starts_with("p99, one stalled")));
    });
}

#[test]
fn an_update_that_is_lost_while_one_stalls_is_missed() {
    test(async {
        // Once: the next one of so many would come when all is over.
        let lost = PLAN.warm_up() + PLAN.updates() / 2 + 20;
        let outcome = outcome(Faults { lose_every: lost, swap_every: 0 }).await;
        let note = format!("{} of {} updates came", PLAN.updates() - 1, PLAN.updates());
        assert!(!outcome.is_clean());
        assert_eq!(outcome.checks[0].note, note);
    });
}
