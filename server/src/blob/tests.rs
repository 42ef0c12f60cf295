//! The room over a real directory and a clock that is moved by hand.

mod faults;
mod model;
mod sweeping;
mod uploads;

use std::fs;

use proptest::prelude::*;
use rand::Rng;
use sheaf_ground::time::{Hand, Seed};
use tempfile::TempDir;

use super::*;

const HERE: VaultNo = VaultNo(1);
const ELSEWHERE: VaultNo = VaultNo(2);
const MIB: usize = 1 << 20;
const FILE_BYTES_MAX: u64 = 16 << 20;

/// A room in a directory of its own.
struct World {
    blobs: Blobs,
    hand: Hand,
    clock: Clock,
    dir: TempDir,
}

impl World {
    fn new() -> World {
        let dir = tempfile::tempdir().expect("a directory");
        let (clock, hand) = Clock::test(1_700_000_000_000);
        let blobs = open(&dir, &clock);
        World { blobs, hand, clock, dir }
    }

    /// As after a start; what is alive of the earlier one stays so.
    fn reopen(&mut self) {
        self.blobs = open(&self.dir, &self.clock);
    }

    fn put(&self, bytes: &[u8]) -> Hash {
        self.blobs.put(HERE, bytes).expect("stored").hold.hash()
    }

    fn read(&self, hash: &Hash) -> Option<Vec<u8>> {
        read(&self.blobs, hash, 0..u64::MAX).expect("it is right")
    }

    /// Moves the time by hours.
    fn pass(&self, hours: u64) {
        self.hand.advance(Duration::from_secs(hours * 60 * 60));
    }

    /// Every file, without its vault, sorted.
    fn files(&self) -> Vec<String> {
        let mut files = Vec::new();
        for first in 0..=u8::MAX {
            let content = self.blobs.shelf(HERE).content(first).expect("readable");
            files.extend(content.iter().map(|(hash, form)| format!("{hash} {form:?}")));
        }
        files.sort();
        files
    }

    fn partials(&self) -> usize {
        names(&self.blobs.shelf(HERE).partials()).expect("readable").len()
    }
}

fn open(dir: &TempDir, clock: &Clock) -> Blobs {
    let config = Config::new(dir.path().join("blobs"), FILE_BYTES_MAX, clock.clone());
    Blobs::open(config).expect("it opens")
}

fn read(blobs: &Blobs, hash: &Hash, range: std::ops::Range<u64>) -> Result<Option<Vec<u8>>, Error> {
    let Some(blob) = blobs.find(HERE, hash)? else { return Ok(None) };
    let mut reading = blob.read(range);
    let mut all = Vec::new();
    while let Some(bytes) = reading.next()? {
        assert!(bytes.len() <= cut::CHUNK_BYTES_MAX && !bytes.is_empty());
        all.extend_from_slice(&bytes);
    }
    Ok(Some(all))
}

fn bytes(number: u64, count: usize) -> Vec<u8> {
    let mut bytes = vec![0; count];
    Seed::fixed(number).generator("blob").fill_bytes(&mut bytes);
    bytes
}

#[test]
fn what_is_put_is_read_again_whatever_its_size() {
    let mut world = World::new();
    for (number, count) in
        [0, 1, MIB - 1, MIB, MIB + 1, 3 * MIB, 5 * MIB + 7].into_iter().enumerate()
    {
        let content = bytes(number as u64, count);
        let stored = world.blobs.put(HERE, &content).expect("stored");
        let hash = stored.hold.hash();
        assert_eq!((hash, stored.hold.size()), (Hash::of(&content), count as u64));
        assert!(stored.is_new && !world.blobs.put(HERE, &content).expect("stored").is_new);
        assert!(world.blobs.has(HERE, &hash));
        world.reopen();
        assert_eq!(world.read(&hash), Some(content));
        let found = world.blobs.find(HERE, &hash).expect("readable").expect("there");
        assert_eq!((found.size(), found.chunks().len() > 1), (count as u64, count > MIB));
    }
    assert_eq!(world.partials(), 0);
}

#[test]
fn a_blob_is_stored_once_and_its_chunks_are_shared() {
    let world = World::new();
    let mut content = bytes(1, 4 * MIB);
    world.put(&content);
    let before = world.files().len();
    content.splice(2 * MIB..2 * MIB, *b"inserted");
    world.put(&content);
    let more = world.files().len() - before;
    assert!((2..=4).contains(&more), "a list and a few chunks, not {more} files");
}

#[test]
fn a_vault_does_not_learn_what_another_has() {
    let world = World::new();
    let small = world.put(b"secret");
    let large = world.put(&bytes(1, 2 * MIB));
    for hash in [small, large] {
        assert!(!world.blobs.has(ELSEWHERE, &hash));
        assert!(!world.blobs.want(ELSEWHERE, &hash).expect("answered"));
        assert!(world.blobs.hold(ELSEWHERE, &hash).expect("answered").is_none());
        assert!(world.blobs.find(ELSEWHERE, &hash).expect("answered").is_none());
    }
    assert!(world.blobs.put(ELSEWHERE, b"secret").expect("stored").is_new);
    assert_eq!(world.blobs.offset(ELSEWHERE, &large).expect("answered"), 0);
}

#[test]
fn no_chunk_of_a_damaged_blob_is_given_out() {
    let world = World::new();
    let content = bytes(1, 3 * MIB);
    let hash = world.put(&content);
    let chunks = world.blobs.find(HERE, &hash).expect("readable").expect("there").chunks().to_vec();
    let damages: [fn(&Path); 3] = [
        |path| {
            let mut bytes = fs::read(path).expect("there");
            bytes[1000] ^= 1;
            fs::write(path, bytes).expect("written");
        },
        |path| {
            let bytes = fs::read(path).expect("there");
            fs::write(path, &bytes[..bytes.len() - 1]).expect("written");
        },
        |path| fs::remove_file(path).expect("removed"),
    ];
    for damage in damages {
        let chunk = chunks[chunks.len() / 2].hash;
        damage(&world.blobs.shelf(HERE).piece(&chunk));
        let failed = read(&world.blobs, &hash, 0..u64::MAX).expect_err("it is damaged");
        assert!(matches!(failed, Error::Damaged { hash, .. } if hash == chunk), "{failed}");
        // Parts that are whole are served.
        let first = u64::from(chunks[0].bytes);
        let part = read(&world.blobs, &hash, 0..first).expect("right").expect("there");
        assert_eq!(part, content[..first as usize]);
        // To send it again heals it.
        world.put(&content);
        assert_eq!(world.read(&hash).as_ref(), Some(&content));
    }
    let list = world.blobs.shelf(HERE).list(&hash);
    fs::write(&list, b"SHBL").expect("written");
    let failed = world.blobs.find(HERE, &hash).expect_err("it is damaged");
    assert!(matches!(failed, Error::Damaged { .. }), "{failed}");
    world.put(&content);
    assert_eq!(world.read(&hash).as_ref(), Some(&content));
}

#[test]
fn whoever_looks_at_everything_finds_what_is_damaged() {
    let world = World::new();
    let (small, large) = (world.put(b"small"), world.put(&bytes(1, 3 * MIB)));
    let missing = world.blobs.find(HERE, &large).expect("readable").expect("there").chunks()[1];
    let verified = || verify::verify(&world.dir.path().join("blobs"), &mut |_| {}).expect("read");
    let whole = verified();
    assert_eq!((whole.lists, whole.bytes), (1, 3 * MIB as u64 + 5));
    assert!(whole.damages.is_empty() && whole.pieces > 4);
    let shelf = world.blobs.shelf(HERE);
    fs::write(shelf.piece(&small), b"smell").expect("written");
    fs::remove_file(shelf.piece(&missing.hash)).expect("removed");
    let mut damaged: Vec<Hash> = verified().damages.iter().map(|damage| damage.hash).collect();
    damaged.sort();
    let mut expected = [small, missing.hash];
    expected.sort();
    assert_eq!(damaged, expected);
    fs::write(shelf.list(&large), b"SHBL").expect("written");
    assert!(verified().damages.iter().any(|damage| damage.hash == large && damage.vault == HERE));
}

#[test]
fn a_small_blob_that_is_damaged_is_not_given_out() {
    let world = World::new();
    let hash = world.put(b"small");
    let path = world.blobs.shelf(HERE).piece(&hash);
    for damaged in [&b"smell"[..], b"smal", b"smalll", b""] {
        fs::write(&path, damaged).expect("written");
        assert!(matches!(read(&world.blobs, &hash, 0..u64::MAX), Err(Error::Damaged { .. })));
    }
    fs::write(&path, vec![0; 2 * MIB]).expect("written");
    assert!(matches!(world.blobs.find(HERE, &hash), Err(Error::Damaged { .. })));
    world.put(b"small");
    assert_eq!(world.read(&hash), Some(b"small".to_vec()));
}

#[test]
fn a_blob_has_at_most_the_bytes_that_are_allowed() {
    let world = World::new();
    let mut content = vec![7; FILE_BYTES_MAX as usize];
    assert_eq!(world.read(&world.put(&content)).map(|it| it.len()), Some(content.len()));
    content.push(7);
    let failed = world.blobs.put(HERE, &content).expect_err("too large");
    assert!(matches!(failed, Error::TooLarge { bytes_max: FILE_BYTES_MAX }));
    assert!(!world.blobs.has(HERE, &Hash::of(&content)) && world.partials() == 0);
}

#[test]
fn a_blob_is_put_together_from_chunks_that_are_here() {
    let world = World::new();
    let content = bytes(1, 3 * MIB);
    let hash = Hash::of(&content);
    let there = world.blobs.put(ELSEWHERE, &content).expect("stored").hold;
    let found = world.blobs.find(ELSEWHERE, &there.hash()).expect("readable").expect("there");
    let chunks = found.chunks();
    let missing = |chunks: &[Chunk]| match world.blobs.assemble(HERE, &hash, chunks) {
        Err(Error::Missing(missing)) => missing,
        other => panic!("{other:?}"),
    };
    assert_eq!(missing(chunks), chunks.iter().map(|chunk| chunk.hash).collect::<Vec<_>>());
    let mut at = 0;
    for (place, chunk) in chunks.iter().enumerate() {
        assert_eq!(missing(chunks).len(), chunks.len() - place);
        world.put(&content[at..at + chunk.bytes as usize]);
        at += chunk.bytes as usize;
    }
    let mut wrong = chunks.to_vec();
    wrong.swap(0, 1);
    assert!(matches!(world.blobs.assemble(HERE, &hash, &wrong), Err(Error::Mismatch)));
    wrong = chunks.to_vec();
    wrong[0].bytes += 1;
    assert!(matches!(world.blobs.assemble(HERE, &hash, &wrong), Err(Error::Damaged { .. })));
    assert!(!world.blobs.has(HERE, &hash));
    assert!(world.blobs.assemble(HERE, &hash, chunks).expect("stored").is_new);
    assert_eq!(world.read(&hash).as_ref(), Some(&content));
    let short = world.blobs.assemble(HERE, &hash, &chunks[..1]);
    assert!(matches!(short, Err(Error::BadList(_))), "{short:?}");
}

#[test]
fn a_hash_has_one_spelling() {
    let hash = Hash::of(b"");
    let text = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    assert_eq!((hash.to_string().as_str(), text.parse()), (text, Ok(hash)));
    for wrong in
        ["", &text[1..], &text.to_uppercase(), &format!("{text}0"), &text.replace('e', "g")]
    {
        assert_eq!(wrong.parse::<Hash>(), Err(NotAHash), "{wrong}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_part_of_a_blob_is_read(start in 0u64..3_200_000, count in 0u64..3_200_000) {
        thread_local! {
            static WORLD: (World, Vec<u8>, Hash) = {
                let (world, content) = (World::new(), bytes(5, 3 * MIB + 11));
                let hash = world.put(&content);
                (world, content, hash)
            };
        }
        WORLD.with(|(world, content, hash)| {
            let part = read(&world.blobs, hash, start..start + count);
            let part = part.expect("right").expect("there");
            let end = content.len().min((start + count) as usize);
            prop_assert_eq!(&part[..], &content[end.min(start as usize)..end]);
            Ok(())
        })?;
    }
}
