use tokio::task::JoinSet;

use super::*;
use crate::floor::Faults;
use crate::floor::tests::{start, test};
use crate::progress::Overall;

#[test]
fn connections_over_several_documents_are_counted_when_they_are_still_open() {
    test(async {
        let mut tasks = JoinSet::new();
        let target = start(&mut tasks, Faults::default());
        let plan = Plan { connections: 30, documents: 7, at_once: 8, addresses: 3, seconds: 0.1 };
        let progress = Progress::new("test", &Overall::new(1));
        let outcome = run(&plan, &target, &progress).await.unwrap();
        assert!(outcome.is_clean(), "{:?}", outcome.checks);
        assert_eq!(outcome.checks[0].note, "30 of 30");
        assert!(outcome.latency.is_some());
    });
}
