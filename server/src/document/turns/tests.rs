//! Queues of writers.

use futures::FutureExt;
use futures::future::join_all;

use super::*;
use crate::document::author::Author;
use crate::document::tests::{World, run};
use sheaf_ground::task;
use sheaf_protocol::ids::Principal;

#[test]
fn more_writers_than_a_queue_holds_are_told_to_try_later() {
    run(async {
        let world = World::new();
        let (document, other) = (world.open("d").await, world.open("e").await);
        let turn = document.turn().await.expect("nobody else writes");
        let mut waiting: Vec<_> = (0..WAITING_MAX).map(|_| Box::pin(document.turn())).collect();
        for one in &mut waiting {
            assert!(one.now_or_never().is_none(), "it waits, and holds no thread");
        }
        assert_eq!(document.turn().await.err(), Some(Failure::Busy));
        assert_eq!(Failure::Busy.code(), sheaf_protocol::error::Code::TryLater);
        drop(other.turn().await.expect("another document has a queue of its own"));
        // One that gives up leaves its place to another.
        drop(waiting.pop());
        let mut late = Box::pin(document.turn());
        assert!((&mut late).now_or_never().is_none());
        drop((late, turn));
        for one in waiting {
            drop(one.await.expect("its turn comes"));
        }
    });
}

#[test]
fn hundreds_of_writes_to_one_document_leave_the_reactor_free() {
    run(async {
        let world = World::new();
        let document = world.open("d").await;
        let big = "one line of some length\n".repeat(4_000);
        let by = Author::of(&Principal::Anonymous);
        document.put_text(by, &big, None).expect("put");
        let writes = (0..400).map(|number| {
            let (document, text) = (&document, format!("{big}{number}"));
            async move {
                let _turn = document.turn().await?;
                let written = task::block(|| document.put_text(by, &text, None));
                Ok::<_, Failure>(written.expect("put").n)
            }
        });
        let done = join_all(writes).await;
        let taken = done.iter().flatten().count();
        assert!(taken > WAITING_MAX, "{taken}");
        assert!(done.iter().all(|one| one.is_ok() || *one == Err(Failure::Busy)));
        assert_eq!(document.n(), 1 + taken as u64);
    });
}
