//! Who follows a vault, with a clock that is moved by hand.

use sheaf_protocol::error::Code;

use super::*;
use crate::document::tests::run;
use crate::vault::tests::{World, check, home};

const START_MS: u64 = 1_700_000_000_000;
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

fn user(name: &str) -> Principal {
    Principal::Named(name.into())
}

fn who<'a>(by: &'a Principal, is_admin: bool) -> Changer<'a> {
    Changer { by, is_admin }
}

async fn meet(world: &World, device: u64, by: &str) -> Result<(), Error> {
    world.vaults.meet(&home(), (device, true), &user(by)).await
}

fn ack(world: &World, device: u64, by: &str, seq: u64) -> Result<u64, Error> {
    let epoch = world.vaults.get(&home()).unwrap().epoch;
    world.vaults.acknowledge(&home(), device, &user(by), Cursor::at(epoch, seq))
}

fn shown(world: &World) -> Vec<(u64, u64, u64, Standing)> {
    let all = world.vaults.devices(&home()).unwrap().into_iter();
    all.map(|it| (it.id, it.device.registered, it.device.acked, it.standing)).collect()
}

async fn revoke(world: &World, device: u64, is_revoked: bool, who: Changer<'_>) -> Option<Error> {
    let change = Change { is_revoked: Some(is_revoked), ..Change::default() };
    world.vaults.change_device(&home(), device, who, change).await.err()
}

#[test]
fn a_device_acknowledges_forward_alone_and_for_itself_alone() {
    run(async {
        let (mut world, _hand) = World::at(START_MS);
        for client in 1..=3 {
            world.settled_by("a.md", client, "x").await;
        }
        assert_eq!(ack(&world, 7, "ann", 1), Err(Error::NoDevice));
        meet(&world, 7, "ann").await.unwrap();
        assert_eq!(shown(&world), [(7, 3, 0, Standing::Away)], "registered, and never acked");
        assert_eq!(ack(&world, 7, "ann", 2), Ok(2));
        assert_eq!(ack(&world, 7, "ann", 1), Ok(2), "never backwards");
        assert!(matches!(ack(&world, 7, "ann", 4), Err(Error::CursorExpired { .. })));
        let other = Cursor::at(1, 3);
        let other = world.vaults.acknowledge(&home(), 7, &user("ann"), other);
        assert!(matches!(other, Err(Error::CursorExpired { .. })), "of another life");
        assert_eq!(ack(&world, 7, "ann", 0), Ok(2), "the beginning says nothing");
        for by in ["bob", ""] {
            assert_eq!(ack(&world, 7, by, 3), Err(Error::DeviceTaken));
            assert_eq!(meet(&world, 7, by).await, Err(Error::DeviceTaken));
        }
        assert_eq!(Error::DeviceTaken.code(), Code::DeviceTaken);
        assert_eq!(shown(&world), [(7, 3, 2, Standing::Away)]);
    });
}

#[test]
fn what_is_registered_or_revoked_survives_a_kill_and_an_ack_a_minute() {
    run(async {
        let (mut world, hand) = World::at(START_MS);
        world.settled_by("a.md", 1, "a").await;
        world.settled_by("a.md", 2, "b").await;
        for device in [7, 8] {
            meet(&world, device, "ann").await.unwrap();
        }
        assert_eq!(revoke(&world, 8, true, who(&user("ann"), false)).await, None);
        ack(&world, 7, "ann", 1).unwrap();
        let world = world.crash();
        let due = [(7, 2, 0, Standing::Away), (8, 2, 0, Standing::Revoked)];
        assert_eq!(shown(&world), due, "an ack is soft");
        ack(&world, 7, "ann", 2).unwrap();
        let stop = CancellationToken::new();
        let running = tokio::join!(world.vaults.clone().run_devices(stop.clone()), async {
            hand.advance(Duration::from_secs(5));
            stop.cancel();
        });
        let ((), ()) = running;
        let world = world.restart();
        assert_eq!(shown(&world)[0], (7, 2, 2, Standing::Away), "written when the server stops");
        // Nothing is written for what says nothing new.
        let written = world.ground.shared.journal.written();
        meet(&world, 7, "ann").await.unwrap();
        ack(&world, 7, "ann", 2).unwrap();
        hand.advance(Duration::from_secs(59 * 60));
        meet(&world, 7, "ann").await.unwrap();
        world.vaults.keep_devices();
        assert_eq!(world.ground.shared.journal.written(), written);
        hand.advance(Duration::from_secs(60));
        meet(&world, 7, "ann").await.unwrap();
        world.vaults.keep_devices();
        assert!(world.ground.shared.journal.written() > written, "an hour later it is");
        check(world.close().path());
    });
}

#[test]
fn a_revoked_device_is_refused_and_its_sessions_end() {
    run(async {
        let (mut world, _hand) = World::at(START_MS);
        world.settled_by("a.md", 1, "a").await;
        meet(&world, 7, "ann").await.unwrap();
        let mut heard = world.vaults.watch_devices(&home()).unwrap();
        let (ann, bob) = (user("ann"), user("bob"));
        let first = world.vaults.attend(&home(), 7, &ann).unwrap();
        let second = world.vaults.attend(&home(), 7, &ann).unwrap();
        assert_eq!(shown(&world)[0].3, Standing::Connected);
        assert_eq!(revoke(&world, 7, true, who(&bob, false)).await, Some(Error::NotYours));
        assert!(!first.end().is_cancelled());
        assert_eq!(revoke(&world, 7, true, who(&ann, false)).await, None);
        assert!(first.end().is_cancelled() && second.end().is_cancelled());
        assert_eq!(meet(&world, 7, "ann").await, Err(Error::DeviceRevoked));
        assert_eq!(ack(&world, 7, "ann", 1), Err(Error::DeviceRevoked));
        assert!(world.vaults.attend(&home(), 7, &ann).is_err());
        // Whose it is may not undo it, nor by forgetting it.
        assert_eq!(revoke(&world, 7, false, who(&ann, false)).await, Some(Error::NotYours));
        let forgotten = world.vaults.forget_device(&home(), 7, who(&ann, false)).await;
        assert_eq!(forgotten, Err(Error::NotYours));
        assert_eq!(revoke(&world, 7, false, who(&bob, true)).await, None);
        let again = world.vaults.attend(&home(), 7, &ann).unwrap();
        drop((first, second));
        assert_eq!(shown(&world)[0].3, Standing::Connected, "those that ended do not count");
        drop(again);
        let mut happenings = Vec::new();
        while let Ok(Happening { device: 7, standing }) = heard.try_recv() {
            happenings.push(standing);
        }
        let due = [Standing::Connected, Standing::Revoked, Standing::Connected, Standing::Away];
        assert_eq!(happenings, due);
    });
}

#[test]
fn stale_devices_are_told_once_and_make_room() {
    run(async {
        let (mut world, hand) = World::at(START_MS);
        let devices = Config { user_devices_max: 2, vault_devices_max: 3, ..Config::default() };
        let terms = crate::vault::Terms { devices, ..Default::default() };
        world.settled_by("a.md", 1, "a").await;
        world.vaults = Vaults::keeping(world.ground.registry.clone(), terms, None).unwrap();
        for device in [1, 2] {
            meet(&world, device, "ann").await.unwrap();
        }
        assert_eq!(meet(&world, 3, "ann").await, Err(Error::TooManyDevices), "of one user");
        meet(&world, 4, "bob").await.unwrap();
        assert_eq!(meet(&world, 5, "eve").await, Err(Error::TooManyDevices), "of the vault");
        hand.advance(DAY);
        meet(&world, 1, "ann").await.unwrap();
        let open = world.vaults.attend(&home(), 4, &user("bob")).unwrap();
        let mut heard = world.vaults.watch_devices(&home()).unwrap();
        hand.advance(DAY * 29);
        for _ in 0..2 {
            world.vaults.keep_devices();
        }
        let told = Happening { device: 2, standing: Standing::Stale };
        assert_eq!((heard.try_recv().ok(), heard.try_recv().ok()), (Some(told), None));
        assert_eq!(shown(&world)[2].3, Standing::Connected, "however long it says nothing");
        meet(&world, 3, "ann").await.unwrap();
        let ids: Vec<u64> = shown(&world).into_iter().map(|(id, ..)| id).collect();
        assert_eq!(ids, [1, 3, 4], "the stale one made room");
        assert_eq!(meet(&world, 5, "eve").await, Err(Error::TooManyDevices), "not for others");
        assert_eq!(world.vaults.count_devices(), [1, 2, 0, 0]);
        drop(open);
        check(world.restart().close().path());
    });
}

#[test]
fn a_name_is_kept_and_has_an_end() {
    run(async {
        let (mut world, _hand) = World::at(START_MS);
        world.settled_by("a.md", 1, "a").await;
        meet(&world, 7, "ann").await.unwrap();
        let ann = user("ann");
        let rename = |name: Option<String>| Change { name: Some(name), ..Change::default() };
        let named = rename(Some("laptop".into()));
        world.vaults.change_device(&home(), 7, who(&ann, false), named).await.unwrap();
        let long = rename(Some("x".repeat(257)));
        let refused = world.vaults.change_device(&home(), 7, who(&ann, false), long).await;
        assert!(matches!(refused, Err(Error::Refused(_))));
        let world = world.crash();
        let device = world.vaults.devices(&home()).unwrap().remove(0).device;
        assert_eq!((device.name.as_deref(), device.user.as_deref()), (Some("laptop"), Some("ann")));
        world.vaults.forget_device(&home(), 7, who(&ann, false)).await.unwrap();
        let world = world.crash();
        assert_eq!(shown(&world), []);
        // A vault that is deleted takes its devices with it.
        meet(&world, 7, "ann").await.unwrap();
        world.vaults.delete(&home(), &ann).await.unwrap();
        assert_eq!(meet(&world, 8, "ann").await, Err(Error::NoVault));
        check(world.close().path());
    });
}

#[test]
fn a_device_that_was_connected_for_weeks_is_not_stale_after_a_kill() {
    run(async {
        let (mut world, hand) = World::at(START_MS);
        world.settled_by("a.md", 1, "a").await;
        meet(&world, 7, "ann").await.unwrap();
        meet(&world, 8, "ann").await.unwrap();
        let attendance = world.vaults.attend(&home(), 7, &user("ann")).unwrap();
        for _ in 0..31 {
            hand.advance(DAY);
            world.vaults.keep_devices();
        }
        std::mem::forget(attendance);
        let world = world.crash();
        let standing: Vec<_> = shown(&world).into_iter().map(|(id, .., it)| (id, it)).collect();
        assert_eq!(standing, [(7, Standing::Away), (8, Standing::Stale)]);
    });
}
