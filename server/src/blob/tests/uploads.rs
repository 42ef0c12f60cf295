//! Uploads that are broken off, meet one another, or are not what they say.

use super::*;

/// Sends bytes in frames of this many.
fn send(incoming: &mut Incoming, bytes: &[u8], frame: usize) {
    bytes.chunks(frame).for_each(|frame| incoming.take(frame).expect("taken"));
}

fn begin(world: &World, hash: &Hash, at: usize) -> Incoming {
    world.blobs.upload(HERE, hash, at as u64).expect("begun")
}

#[test]
fn what_comes_in_frames_of_any_size_is_cut_the_same() {
    let content = bytes(1, 4 * MIB);
    let hash = Hash::of(&content);
    let stored: Vec<Vec<String>> = [1000, 64 << 10, 4 * MIB]
        .into_iter()
        .map(|frame| {
            let world = World::new();
            let mut incoming = begin(&world, &hash, 0);
            send(&mut incoming, &content, frame);
            assert!(incoming.finish().expect("stored").is_new);
            assert_eq!((world.read(&hash).as_ref(), world.partials()), (Some(&content), 0));
            world.files()
        })
        .collect();
    assert!(stored.iter().all(|files| *files == stored[0]));
}

#[test]
fn an_upload_goes_on_where_it_was_broken_off() {
    let mut world = World::new();
    let content = bytes(1, 5 * MIB);
    let hash = Hash::of(&content);
    let mut at = 0;
    for end in [2 * MIB, 2 * MIB + 5, 4 * MIB] {
        let mut incoming = begin(&world, &hash, at);
        send(&mut incoming, &content[at..end], 100_000);
        assert_eq!(world.blobs.offset(HERE, &hash).expect("answered"), end as u64);
        drop(incoming);
        assert!(!world.blobs.has(HERE, &hash));
        world.reopen();
        assert_eq!(world.blobs.offset(HERE, &hash).expect("answered"), end as u64);
        at = end;
    }
    let failed = world.blobs.upload(HERE, &hash, at as u64 + 1).expect_err("a gap");
    assert!(matches!(failed, Error::Elsewhere { offset } if offset == at as u64));
    let mut incoming = begin(&world, &hash, at);
    send(&mut incoming, &content[at..], 100_000);
    incoming.finish().expect("stored");
    assert_eq!((world.read(&hash), world.partials()), (Some(content), 0));
}

#[test]
fn after_a_crash_it_goes_on_at_what_is_whole() {
    let mut world = World::new();
    let content = bytes(1, 5 * MIB);
    let hash = Hash::of(&content);
    let mut incoming = begin(&world, &hash, 0);
    send(&mut incoming, &content[..4 * MIB], 100_000);
    // As a kill leaves it: what was not cut is lost.
    std::mem::forget(incoming);
    world.reopen();
    let at = world.blobs.offset(HERE, &hash).expect("answered") as usize;
    assert!((2 * MIB..4 * MIB).contains(&at), "{at}");
    // And as loss of power leaves it: a file is there, and its bytes are not.
    let dir = world.blobs.shelf(HERE).partial(&hash);
    let mut files = names(&dir).expect("readable");
    files.sort();
    fs::write(dir.join(&files[3]), b"").expect("written");
    let failed = world.blobs.upload(HERE, &hash, at as u64).expect_err("less is there");
    let Error::Elsewhere { offset } = failed else { panic!("{failed}") };
    assert!(offset > 0 && (offset as usize) < at, "{offset}");
    let mut incoming = begin(&world, &hash, offset as usize);
    send(&mut incoming, &content[offset as usize..], 100_000);
    incoming.finish().expect("stored");
    assert_eq!((world.read(&hash), world.partials()), (Some(content), 0));
}

#[test]
fn two_who_send_the_same_help_one_another() {
    let world = World::new();
    let content = bytes(1, 4 * MIB);
    let hash = Hash::of(&content);
    let (mut one, mut other) = (begin(&world, &hash, 0), begin(&world, &hash, 0));
    send(&mut one, &content[..3 * MIB], 100_000);
    send(&mut other, &content[..MIB], 70_000);
    // The first is cut off, and nobody knows yet; it comes back where it was.
    let mut again = begin(&world, &hash, 3 * MIB);
    send(&mut again, &content[3 * MIB..], 100_000);
    assert!(again.finish().expect("stored").is_new);
    send(&mut other, &content[MIB..], 70_000);
    assert!(!other.finish().expect("it is there").is_new);
    drop(one);
    assert_eq!((world.read(&hash), world.partials()), (Some(content), 0));
}

#[test]
fn bytes_of_another_hash_are_not_stored() {
    let world = World::new();
    let (content, wrong) = (bytes(1, 3 * MIB), bytes(2, 3 * MIB));
    for count in [0, 1000, 3 * MIB] {
        let hash = Hash::of(&content[..count]);
        let mut incoming = begin(&world, &hash, 0);
        incoming.take(&wrong).expect("taken");
        assert!(matches!(incoming.finish(), Err(Error::Mismatch)));
        let short = begin(&world, &Hash::of(&content), 0);
        assert!(matches!(short.finish(), Err(Error::Mismatch)));
        assert!(!world.blobs.has(HERE, &hash) && world.partials() == 0);
    }
}

#[test]
fn who_sends_what_is_right_is_not_told_that_it_is_wrong() {
    let world = World::new();
    let (content, wrong) = (bytes(1, 3 * MIB), bytes(2, 4 * MIB));
    let hash = Hash::of(&content);
    for wrong in [&wrong[..2 * MIB], &wrong[..]] {
        drop({
            let mut broken = begin(&world, &hash, 0);
            broken.take(wrong).expect("taken");
            broken
        });
        let mut right = begin(&world, &hash, 0);
        send(&mut right, &content, 100_000);
        assert!(matches!(right.finish(), Err(Error::Again)));
        assert_eq!(world.partials(), 0);
        let mut right = begin(&world, &hash, 0);
        send(&mut right, &content, 100_000);
        right.finish().expect("stored");
        world.pass(25);
        world.blobs.sweep(&sweeping::Nothing).expect("swept");
    }
}

#[test]
fn others_begin_anew_when_one_was_wrong() {
    let world = World::new();
    let (content, wrong) = (bytes(1, 2 * MIB), bytes(2, 2 * MIB));
    let hash = Hash::of(&content);
    let (mut one, mut other) = (begin(&world, &hash, 0), begin(&world, &hash, 0));
    one.take(&wrong).expect("taken");
    assert!(matches!(one.finish(), Err(Error::Mismatch)));
    assert!(matches!(other.take(&content), Err(Error::Again)));
    let mut third = begin(&world, &hash, 0);
    drop(other);
    third.take(&content).expect("taken");
    third.finish().expect("stored");
    assert_eq!((world.read(&hash), world.partials()), (Some(content), 0));
}

#[test]
fn an_upload_takes_no_more_than_a_file_may_have() {
    let world = World::new();
    let hash = Hash::of(b"anything");
    let mut incoming = begin(&world, &hash, 0);
    let mebibyte = vec![1; MIB];
    for _ in 0..FILE_BYTES_MAX as usize / MIB {
        incoming.take(&mebibyte).expect("taken");
    }
    assert!(matches!(incoming.take(b"x"), Err(Error::TooLarge { .. })));
}

#[test]
fn a_start_clears_what_nobody_can_go_on_with() {
    let mut world = World::new();
    let content = bytes(1, 3 * MIB);
    let mut gathering = world.blobs.gather(HERE).expect("begun");
    gathering.take(&content).expect("taken");
    let mut incoming = begin(&world, &Hash::of(&content), 0);
    incoming.take(&content[..2 * MIB]).expect("taken");
    std::mem::forget((gathering, incoming));
    assert_eq!(world.partials(), 2);
    world.reopen();
    assert_eq!(world.partials(), 1, "the one that has a hash");
    world.pass(23);
    let swept = world.blobs.sweep(&sweeping::Nothing).expect("swept");
    assert_eq!((swept.partials, world.partials()), (0, 1));
}
