//! What stays and what goes, and that nothing goes while somebody begins to need it.

use std::collections::HashSet;
use std::sync::Barrier;

use super::*;

/// Nothing is in use.
pub(super) struct Nothing;

impl InUse for Nothing {
    fn mark(&self, _: VaultNo, _: &mut dyn FnMut(Hash)) -> bool {
        true
    }
}

/// These are, in the vault of these tests.
struct These(HashSet<Hash>);

impl InUse for These {
    fn mark(&self, vault: VaultNo, mark: &mut dyn FnMut(Hash)) -> bool {
        if vault == HERE {
            self.0.iter().copied().for_each(mark);
        }
        true
    }
}

/// It cannot be told.
struct Unknown;

impl InUse for Unknown {
    fn mark(&self, _: VaultNo, _: &mut dyn FnMut(Hash)) -> bool {
        false
    }
}

/// Something happens when all is marked, before anything is swept.
struct Then<F>(F);

impl<F: Fn() + Send + Sync> InUse for Then<F> {
    fn mark(&self, _: VaultNo, _: &mut dyn FnMut(Hash)) -> bool {
        (self.0)();
        true
    }
}

fn these(hashes: &[Hash]) -> These {
    These(hashes.iter().copied().collect())
}

#[test]
fn what_nothing_refers_to_goes_after_a_day() {
    let world = World::new();
    let (small, large) = (world.put(b"small"), world.put(&bytes(1, 3 * MIB)));
    let kept = [world.put(b"kept"), world.put(&bytes(2, 3 * MIB))];
    world.blobs.put(ELSEWHERE, b"small").expect("stored");
    let in_use = these(&kept);
    world.pass(24);
    assert_eq!(world.blobs.sweep(&in_use).expect("swept"), Swept::default());
    world.pass(1);
    assert_eq!(
        world.blobs.sweep(&Unknown).expect("swept"),
        Swept { skipped: 2, ..Swept::default() }
    );
    let swept = world.blobs.sweep(&in_use).expect("swept");
    assert_eq!((swept.lists, swept.pieces > 4, swept.bytes > 3 * MIB as u64), (1, true, true));
    assert!(![small, large].iter().any(|hash| world.blobs.has(HERE, hash)));
    assert!(!world.blobs.has(ELSEWHERE, &small));
    assert_eq!(world.read(&kept[0]), Some(b"kept".to_vec()));
    assert_eq!(world.read(&kept[1]), Some(bytes(2, 3 * MIB)));
    assert_eq!(world.blobs.sweep(&in_use).expect("swept"), Swept::default());
}

#[test]
fn a_vault_without_blobs_leaves_nothing_and_can_have_some_again() {
    let world = World::new();
    world.put(b"small");
    world.pass(25);
    world.blobs.sweep(&Nothing).expect("swept");
    assert_eq!(names(&world.dir.path().join("blobs")).expect("readable"), Vec::<String>::new());
    let hash = world.put(b"small");
    assert_eq!(world.read(&hash), Some(b"small".to_vec()));
}

#[test]
fn chunks_that_another_blob_has_stay() {
    let world = World::new();
    let mut content = bytes(1, 4 * MIB);
    let first = world.put(&content);
    content.splice(2 * MIB..2 * MIB, *b"inserted");
    let second = world.put(&content);
    world.pass(25);
    let swept = world.blobs.sweep(&these(&[second])).expect("swept");
    assert!(swept.lists == 1 && (1..=3).contains(&swept.pieces), "{swept:?}");
    assert!(!world.blobs.has(HERE, &first));
    assert_eq!(world.read(&second), Some(content));
}

#[test]
fn who_was_told_that_it_is_there_has_a_day() {
    let world = World::new();
    let hashes = [world.put(b"small"), world.put(&bytes(1, 2 * MIB))];
    for _ in 0..3 {
        world.pass(23);
        assert!(hashes.iter().all(|hash| world.blobs.want(HERE, hash).expect("answered")));
        world.pass(2);
        world.blobs.sweep(&Nothing).expect("swept");
        assert!(world.read(&hashes[0]).is_some() && world.read(&hashes[1]).is_some());
    }
    world.pass(25);
    world.blobs.sweep(&Nothing).expect("swept");
    assert!(!hashes.iter().any(|hash| world.blobs.want(HERE, hash).expect("answered")));
}

#[test]
fn chunks_that_were_found_stay_until_their_list_comes() {
    let world = World::new();
    let content = bytes(1, 2 * MIB);
    let hash = world.put(&content);
    let chunks = world.blobs.find(HERE, &hash).expect("readable").expect("there").chunks().to_vec();
    world.pass(25);
    fs::remove_file(world.blobs.shelf(HERE).list(&hash)).expect("removed");
    fs::remove_file(world.blobs.shelf(HERE).piece(&chunks[1].hash)).expect("removed");
    let asked = world.blobs.assemble(HERE, &hash, &chunks);
    assert!(matches!(asked, Err(Error::Missing(missing)) if missing == [chunks[1].hash]));
    world.blobs.sweep(&Nothing).expect("swept");
    let begin = chunks[0].bytes as usize;
    world.put(&content[begin..begin + chunks[1].bytes as usize]);
    world.blobs.assemble(HERE, &hash, &chunks).expect("stored");
    world.blobs.sweep(&Nothing).expect("swept");
    assert_eq!(world.read(&hash), Some(content));
}

#[test]
fn what_is_held_or_read_stays_however_old_it_is() {
    let world = World::new();
    let content = bytes(1, 2 * MIB);
    let hash = world.put(&content);
    let hold = world.blobs.hold(HERE, &hash).expect("answered").expect("there");
    world.pass(100);
    world.blobs.sweep(&Nothing).expect("swept");
    let mut reading =
        world.blobs.find(HERE, &hash).expect("readable").expect("there").read(0..u64::MAX);
    drop(hold);
    world.blobs.sweep(&Nothing).expect("swept");
    let mut all = Vec::new();
    while let Some(bytes) = reading.next().expect("right") {
        all.extend_from_slice(&bytes);
    }
    assert!(all == content);
    drop(reading);
    world.blobs.sweep(&Nothing).expect("swept");
    assert!(!world.blobs.has(HERE, &hash) && world.files().is_empty());
    assert!(world.blobs.inner.held.lock().is_empty());
}

/// The race: the sweep has marked, and does not know what is referred to from now on.
#[test]
fn what_is_needed_between_mark_and_sweep_stays() {
    let (small, large) = (b"small".to_vec(), bytes(1, 3 * MIB));
    let hashes = [Hash::of(&small), Hash::of(&large)];
    type Need = fn(&World, &Hash, &[u8]);
    let needs: [Need; 4] = [
        |world, hash, _| assert!(world.blobs.want(HERE, hash).expect("answered")),
        |world, hash, _| drop(world.blobs.hold(HERE, hash).expect("answered").expect("there")),
        |world, _, content| {
            world.put(content);
        },
        |world, hash, content| {
            let mut incoming = world.blobs.upload(HERE, hash, 0).expect("begun");
            incoming.take(content).expect("taken");
            incoming.finish().expect("stored");
        },
    ];
    for need in needs {
        let world = World::new();
        world.put(&small);
        world.put(&large);
        world.pass(25);
        let then = Then(|| {
            need(&world, &hashes[0], &small);
            need(&world, &hashes[1], &large);
        });
        assert_eq!(world.blobs.sweep(&then).expect("swept"), Swept::default());
        assert_eq!(world.read(&hashes[0]).as_ref(), Some(&small));
        assert_eq!(world.read(&hashes[1]).as_ref(), Some(&large));
    }
}

/// Whoever is told that a blob is there finds it, also if the sweep looks at it in that moment.
#[test]
fn a_sweep_at_the_same_time_takes_nothing_that_was_promised() {
    let world = World::new();
    let contents: Vec<Vec<u8>> = (0..20).map(|number| bytes(number, 100)).collect();
    for round in 0..30 {
        for content in &contents {
            world.put(content);
        }
        world.pass(25);
        let start = Barrier::new(2);
        let blobs = &world.blobs;
        let promised = std::thread::scope(|scope| {
            let sweeping = scope.spawn(|| {
                start.wait();
                blobs.sweep(&Nothing).expect("swept")
            });
            start.wait();
            let mut promised = Vec::new();
            for content in contents.iter().cycle().skip(round).take(contents.len()) {
                let hash = Hash::of(content);
                promised.extend(blobs.want(HERE, &hash).expect("answered").then_some(hash));
                promised.push(blobs.put(HERE, &content[1..]).expect("stored").hold.hash());
            }
            sweeping.join().expect("it ends");
            promised
        });
        assert!(promised.iter().all(|hash| world.read(hash).is_some()), "round {round}");
    }
}
