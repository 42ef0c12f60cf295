use tokio::task::JoinSet;

use super::*;
use crate::floor::Faults;
use crate::floor::tests::{start, test};
use crate::progress::Overall;

#[test]
fn everybody_comes_back_as_often_as_planned() {
    test(async {
        let mut tasks = JoinSet::new();
        let target = start(&mut tasks, Faults::default());
        let plan = Plan { clients: 10, documents: 3, length: 100, times: 1 };
        let progress = Progress::new("test", &Overall::new(1));
        let outcome = run(&plan, &target, &progress).await.unwrap();
        assert!(outcome.is_clean(), "{:?}", outcome.checks);
        let latency = outcome.latency.expect("somebody came");
        assert!(latency.max_us > 0);
    });
}

#[test]
fn a_document_is_what_its_update_says() {
    let held = Held::new(1_000);
    assert_eq!(replica::rebuild([&held.update]).as_deref(), Some(&*held.text));
}
