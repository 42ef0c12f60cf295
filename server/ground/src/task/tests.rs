//! Panics stay inside their task; shutdown waits, and not for ever.

use tokio::sync::oneshot;

use super::*;

#[tokio::test]
async fn a_panic_ends_its_task_alone_and_is_counted() {
    let panics = Counter::default();
    let group = Group::new(panics.clone());
    let (told, hear) = oneshot::channel();
    group.spawn("broken", async { panic!("this task breaks on purpose") });
    group.spawn("whole", async {
        told.send(()).expect("the test listens");
    });
    hear.await.expect("the whole task still runs");
    let minute = Duration::from_secs(60);
    assert_eq!(group.shutdown(&Clock::system(), minute).await, Shutdown::Complete);
    assert_eq!(panics.get(), 1);
}

#[tokio::test]
async fn a_shutdown_waits_for_what_its_tasks_still_have_to_do() {
    let group = Group::new(Counter::default());
    let (told, mut hear) = oneshot::channel();
    let stopping = group.stopping().clone();
    group.spawn("orderly", async move {
        stopping.cancelled().await;
        told.send("stored").expect("the test listens");
    });
    let minute = Duration::from_secs(60);
    assert_eq!(group.shutdown(&Clock::system(), minute).await, Shutdown::Complete);
    assert_eq!(hear.try_recv(), Ok("stored"));
}

#[tokio::test]
async fn a_task_that_never_stops_is_left_at_the_deadline() {
    let (clock, hand) = Clock::test(0);
    let group = Group::new(Counter::default());
    group.spawn("stubborn", std::future::pending());
    let second = Duration::from_secs(1);
    let (outcome, ()) = tokio::join!(group.shutdown(&clock, second), async {
        hand.advance(second);
    });
    assert_eq!(outcome, Shutdown::Left(1));
}

#[tokio::test]
async fn a_child_group_hears_its_parent_stop_and_not_the_reverse() {
    let parent = Group::new(Counter::default());
    let child = parent.child();
    let other = parent.child();
    other.stop();
    assert!(!parent.stopping().is_cancelled());
    parent.stop();
    assert!(child.stopping().is_cancelled());
}
