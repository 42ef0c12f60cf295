//! What is held, and what is not.

use std::pin::pin;

use futures::poll;

use super::*;
use crate::document::state::tests::typed;
use crate::document::tests::{World, join, name, run, submit};

async fn ready(world: &World, document: &str) -> Arc<Handle> {
    let handle = world.open(document).await;
    let reader = join(&handle);
    submit(&handle, reader, &typed(7, &[document])).unwrap();
    handle.leave(reader);
    handle
}

fn loads(world: &World) -> u64 {
    world.ground.shared.metrics.document.loads.get()
}

#[test]
fn a_held_document_is_not_loaded_until_it_is_let_go() {
    run(async {
        let world = World::new();
        for document in ["a", "b"] {
            ready(&world, document).await;
        }
        let world = world.restart();
        let registry = &world.ground.registry;
        let [a, b] = ["a", "b"].map(name);
        let mut held = registry.hold();
        assert!(held.add(&a).await.unwrap().is_none() && held.has(&a));
        assert!(held.add(&a).await.unwrap().is_none(), "twice is once");
        let mut opening = pin!(registry.open(&a));
        assert!(poll!(&mut opening).is_pending());
        // As much time as this takes is enough for a load.
        for _ in 0..20 {
            drop(registry.open(&b).await.unwrap());
            registry.unload_all();
            assert!(poll!(&mut opening).is_pending());
        }
        assert_eq!(loads(&world), 20);
        drop(held);
        let opened = opening.await.unwrap();
        assert_eq!(opened.text("content").unwrap(), "a");
        let again = registry.open(&a).await.unwrap();
        assert!(Arc::ptr_eq(&opened, &again), "one copy, also for who waited");
        assert_eq!(loads(&world), 21);
    });
}

#[test]
fn what_nobody_waits_for_is_as_if_it_had_never_been_held() {
    run(async {
        let world = World::new();
        let open = ready(&world, "a").await;
        let registry = &world.ground.registry;
        let [a, none] = ["a", "none"].map(name);
        let mut held = registry.hold();
        assert!(Arc::ptr_eq(&held.add(&a).await.unwrap().unwrap(), &open), "it has its own locks");
        assert!(!held.has(&a) && held.add(&none).await.unwrap().is_none());
        drop(held);
        assert!(registry.inner.slots.get(&none).is_none());
        // One that was dropped is followed by the next load, as before.
        open.drop_now();
        let mut held = registry.hold();
        assert!(held.add(&a).await.unwrap().is_none());
        assert_eq!(held.end(), open.end());
        drop(held);
        let slot = registry.inner.slots.get(&a).map(|slot| slot.value().clone());
        assert!(matches!(slot, Some(Slot::Ready(before)) if Arc::ptr_eq(&before, &open)));
        assert_eq!(registry.open(&a).await.unwrap().text("content").unwrap(), "a");
    });
}

#[test]
fn what_is_being_loaded_is_waited_for() {
    run(async {
        let world = World::new();
        ready(&world, "a").await;
        let world = world.restart();
        let registry = &world.ground.registry;
        let a = name("a");
        assert!(matches!(registry.slot(&a), Slot::Loading(..)));
        let mut held = registry.hold();
        let found = held.add(&a).await.unwrap().expect("it is in memory now");
        assert!(Arc::ptr_eq(&found, &registry.open(&a).await.unwrap()) && !held.has(&a));
    });
}

#[test]
fn a_load_that_nobody_waits_for_leaves_memory_like_any_other() {
    run(async {
        let world = World::new();
        ready(&world, "a").await;
        let world = world.restart();
        let registry = &world.ground.registry;
        let a = name("a");
        {
            let mut opening = pin!(registry.open(&a));
            assert!(poll!(&mut opening).is_pending());
        }
        while loads(&world) == 0 {
            tokio::task::yield_now().await;
        }
        assert!(registry.in_memory(&a).is_none());
        while registry.in_memory(&a).is_none() {
            registry.tidy();
        }
        registry.unload_all();
        assert!(registry.in_memory(&a).is_none() && registry.live_bytes() == 0);
    });
}
