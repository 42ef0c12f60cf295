//! Three hundred random damages to the files of a data directory, one at a time: bit flips, zeroed
//! and swapped pages, truncations, in the journal's segments, in sled's files and in the witness.
//!
//! After each, the directory is opened as a server would. Either that is refused, or every document
//! loads exactly as it was, or its load says that it is damaged. After a repair everything loads:
//! less, where something is gone, but never something else. Nothing panics.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::Duration;

use parking_lot::Mutex;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use sheaf_protocol::ids::{DocId, DocKey, VaultNo};
use sheaf_protocol::stamp::Stamp;
use sheaf_storage::journal::payload::{self, Claim, Created, Settled, VaultCreated};
use sheaf_storage::journal::repair::repair;
use sheaf_storage::journal::verify::verify;
use sheaf_storage::journal::{Config, Error, Journal, Kind, Record, Report};
use sheaf_storage::store::{Body, Error as Refused, Item, Made, Owner, Store};
use sheaf_tests::seed;

/// Looks at a lock that somebody else has for a moment.
const LOCK_ATTEMPTS: u32 = 1_000_000;
const CASES: u64 = 300;
pub(super) const DOCUMENTS: u64 = 12;
const ROUNDS: u64 = 3;
const ENTRIES_A_ROUND: u64 = 13;
const PAGE_BYTES: usize = 4096;

/// A data directory in memory: relative path to content.
pub(super) type Image = BTreeMap<PathBuf, Vec<u8>>;

/// All that a reader can learn of one document, a line for each thing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Facts {
    /// Head, claims, what was laid aside.
    fixed: String,
    last_n: u64,
    entries: BTreeMap<u64, String>,
    checkpoints: BTreeMap<u64, String>,
}

impl Facts {
    /// Whether these are all of `due`: from a checkpoint that was right, or from the first entry.
    fn are_right(&self, due: &Facts) -> bool {
        let from_n = self.checkpoints.keys().next().copied().unwrap_or(0);
        let is_right = |(n, line): (&u64, &String)| due.checkpoints.get(n) == Some(line);
        self.fixed == due.fixed
            && self.last_n == due.last_n
            && self.checkpoints.iter().all(is_right)
            && self.entries.iter().eq(due.entries.range(from_n + 1..))
    }

    /// Whether nothing here is invented: what is there was there, in a row but for `holes`.
    fn are_part_of(&self, due: &Facts, has_holes: bool) -> bool {
        let is_right = |(n, line): (&u64, &String)| due.checkpoints.get(n) == Some(line);
        let is_there = |(n, line): (&u64, &String)| due.entries.get(n) == Some(line);
        let numbers: Vec<u64> = self.entries.keys().copied().collect();
        let is_row = numbers.windows(2).all(|pair| pair[0] + 1 == pair[1]);
        self.checkpoints.iter().all(is_right)
            && self.entries.iter().all(is_there)
            && (is_row || has_holes)
    }

    /// Adds what was true earlier, before checkpoints took entries away.
    fn remember(&mut self, earlier: &Facts) {
        self.entries.extend(earlier.entries.clone());
        self.checkpoints.extend(earlier.checkpoints.clone());
    }
}

#[derive(Debug)]
enum Damage {
    Flip { bit: usize },
    Zero { page: usize },
    Swap { pages: (usize, usize) },
    Cut { len: usize },
}

#[test]
fn no_damage_is_silent_and_none_panics() {
    quiet_sled();
    let images = [image(false), image(true)];
    let seeds = seed::seeds(&[1]);
    let cases = CASES / seeds.len() as u64;
    let met: Mutex<BTreeMap<Met, u64>> = Mutex::default();
    for seed in seeds {
        let mut draw = seed::generator(seed);
        let plans: Vec<Plan> = (0..cases).map(|case| plan(&images, case, &mut draw)).collect();
        let (left, right) = plans.split_at(plans.len() / 2);
        std::thread::scope(|scope| {
            for half in [left, right] {
                let images = &images;
                let met = &met;
                scope.spawn(move || {
                    for plan in half {
                        let how = run(images, seed, plan);
                        *met.lock().entry(how).or_default() += 1;
                    }
                });
            }
        });
    }
    // A test that meets damage in one way only tests little.
    let met = met.into_inner();
    println!("{met:?}");
    let is_met = |how: Met| met.get(&how).is_some_and(|count| *count >= CASES / 20);
    assert!([Met::Harmless, Met::StoreRefused, Met::Repaired].into_iter().all(is_met), "{met:?}");
}

#[derive(Debug)]
struct Plan {
    case: u64,
    image: usize,
    file: PathBuf,
    damage: Damage,
}

fn plan(images: &[(Image, Vec<Facts>); 2], case: u64, draw: &mut ChaCha8Rng) -> Plan {
    let image = draw.random_range(0..images.len());
    let home = ["journal", "store", "witness"][draw.random_range(0..3)];
    let files: Vec<&PathBuf> =
        images[image].0.keys().filter(|path| path.starts_with(home)).collect();
    let file = files[draw.random_range(0..files.len())].clone();
    let len = images[image].0[&file].len().max(1);
    let pages = len.div_ceil(PAGE_BYTES);
    let damage = match draw.random_range(0..4) {
        0 => Damage::Flip { bit: draw.random_range(0..len * 8) },
        1 => Damage::Zero { page: draw.random_range(0..pages) },
        2 => Damage::Swap { pages: (draw.random_range(0..pages), draw.random_range(0..pages)) },
        _ => Damage::Cut { len: draw.random_range(0..len) },
    };
    Plan { case, image, file, damage }
}

fn inflict(bytes: &mut Vec<u8>, damage: &Damage) {
    if bytes.is_empty() {
        return;
    }
    let page = |page: usize, len: usize| page * PAGE_BYTES..len.min((page + 1) * PAGE_BYTES);
    match *damage {
        Damage::Flip { bit } => bytes[bit / 8] ^= 1 << (bit % 8),
        Damage::Zero { page: at } => {
            let range = page(at, bytes.len());
            bytes[range].fill(0);
        }
        Damage::Swap { pages: (one, two) } => {
            let before = bytes.clone();
            let len = page(one, bytes.len()).len().min(page(two, bytes.len()).len());
            let (one, two) = (one * PAGE_BYTES, two * PAGE_BYTES);
            bytes[one..one + len].copy_from_slice(&before[two..two + len]);
            bytes[two..two + len].copy_from_slice(&before[one..one + len]);
        }
        Damage::Cut { len } => bytes.truncate(len),
    }
}

fn run(images: &[(Image, Vec<Facts>); 2], seed: u64, plan: &Plan) -> Met {
    let (image, due) = &images[plan.image];
    let dir = tempfile::tempdir().expect("a directory");
    write_image(image, dir.path());
    let path = dir.path().join(&plan.file);
    let mut bytes = std::fs::read(&path).expect("it was written");
    inflict(&mut bytes, &plan.damage);
    std::fs::write(&path, bytes).expect("it is written");
    let outcome = catch_unwind(AssertUnwindSafe(|| judge(dir.path(), due, plan.case)));
    match outcome {
        Ok(Ok(met)) => met,
        Ok(Err(what)) => panic!("seed {seed}, {plan:?}: {what}"),
        Err(_) => panic!("seed {seed}, {plan:?}: a panic escaped"),
    }
}

/// How a damage was met.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Met {
    Harmless,
    DocumentReported,
    StoreRefused,
    JournalRefused,
    Repaired,
}

/// Opens a directory as a server does; how the damage was met, or what is wrong with that.
fn judge(dir: &Path, due: &[Facts], case: u64) -> Result<Met, String> {
    if case.is_multiple_of(10) {
        // Its word is not compared: it must come back, and change nothing for what follows.
        let _ = verify(dir, &mut |_| (), &mut |_, _| Ok(()));
    }
    let store = match Store::open(dir) {
        Ok(store) => store,
        Err(Refused::WitnessDamaged { .. }) => return judge_repaired(dir, due),
        Err(_) => return Ok(Met::StoreRefused),
    };
    match open(dir, &store) {
        Ok(_) => compare(&store, due),
        Err(Error::Damaged(_)) => {
            drop(store);
            judge_repaired(dir, due)
        }
        Err(_) => Ok(Met::JournalRefused),
    }
}

/// After a repair everything loads. The end of a document may be in what could not be read: then
/// the place is named, and not the document. A hole must be named with it, and nothing may be there
/// that was not.
fn judge_repaired(dir: &Path, due: &[Facts]) -> Result<Met, String> {
    let repaired = match unlocked(&|| repair(dir, 1, &mut |_, _| Ok(()))) {
        Ok(repaired) => repaired,
        Err(Error::Store(Refused::Engine { .. } | Refused::EnginePanic { .. })) => {
            return Ok(Met::StoreRefused);
        }
        Err(error) => return Err(format!("the repair fails: {error}")),
    };
    let store = unlocked(&|| Ok(Store::open(dir)?));
    let store = store.map_err(|error| format!("after a repair: {error}"))?;
    let report = open(dir, &store).map_err(|error| format!("after a repair: {error}"))?;
    if report != Report::default() {
        return Err(format!("after a repair: {report:?}"));
    }
    for (number, due) in due.iter().enumerate() {
        let key = key(number as u64);
        let has_holes = repaired.journal.strays.iter().any(|stray| stray.doc == key)
            || repaired.documents.iter().any(|(document, _)| document.key == key);
        let facts = facts(&store, number as u64);
        let facts = facts.map_err(|error| format!("after a repair: {error}"))?;
        if !facts.are_part_of(due, has_holes) {
            let what = format!("{facts:#?}\nnot\n{due:#?}");
            return Err(format!("document {number} after a repair: {what}"));
        }
    }
    Ok(Met::Repaired)
}

/// Tries until the directory's lock is free: a process that another test starts has every lock of
/// this one until it runs its program.
fn unlocked<T>(act: &dyn Fn() -> Result<T, Error>) -> Result<T, Error> {
    let mut attempts = (0..LOCK_ATTEMPTS).map(|_| act());
    let is_taken = |result: &Result<T, Error>| {
        let is_taken = matches!(result, Err(Error::Store(Refused::InUse { .. })));
        if is_taken {
            std::thread::yield_now();
        }
        is_taken
    };
    attempts.find(|result| !is_taken(result)).expect("the lock is let go")
}

fn open(dir: &Path, store: &Store) -> Result<Report, Error> {
    let config = Config::new(dir.join("journal"));
    Journal::open(config, store.clone()).map(|(_, report)| report)
}

fn compare(store: &Store, due: &[Facts]) -> Result<Met, String> {
    let mut met = Met::Harmless;
    for (number, due) in due.iter().enumerate() {
        match facts(store, number as u64) {
            Ok(facts) if facts.are_right(due) => {}
            Ok(facts) => {
                let what = format!("{facts:#?}\nnot\n{due:#?}");
                return Err(format!("document {number} is silently other: {what}"));
            }
            Err(_) => met = Met::DocumentReported,
        }
    }
    judge_feed(store)?;
    Ok(met)
}

/// Every item and its row are as they were, or the next start sees that they are not and settles
/// the file again; and no seq is given out twice under one epoch.
fn judge_feed(store: &Store) -> Result<(), String> {
    let Ok(feed) = store.feed(VaultNo(1)) else { return Ok(()) };
    let last_n = ROUNDS * ENTRIES_A_ROUND;
    if feed.facts.is_some() && feed.seq < ROUNDS * DOCUMENTS {
        return Err(format!("the feed goes on from {} silently", feed.seq));
    }
    for number in 0..DOCUMENTS {
        let doc = key(number).doc;
        let found = feed.items.iter().find(|(id, _)| *id == doc).map(|(_, item)| item);
        let due = item(number, ROUNDS - 1);
        let has_row = |item: &Item| feed.rows.get(&item.seq) == Some(&doc);
        let is_noticed = found.is_none_or(|item| item.n != last_n || !has_row(item));
        if !is_noticed && found != Some(&due) {
            return Err(format!("item {number} is silently other: {found:?}"));
        }
    }
    Ok(())
}

/// The item of a document after a round.
fn item(number: u64, round: u64) -> Item {
    let n = (round + 1) * ENTRIES_A_ROUND;
    Item {
        seq: round * DOCUMENTS + number + 1,
        n,
        body: Body::Text,
        is_deleted: false,
        size: n * 10,
        bytes: n * 100,
        hash: Some([number as u8; 32]),
        updated: Stamp::new(5_000 + n, 1, 7),
        author: Some("ann".into()),
        device: 0,
        path: name(number).into(),
        from: None,
    }
}

/// What a reader learns of a document; an error is a report.
fn facts(store: &Store, number: u64) -> Result<Facts, sheaf_storage::store::Error> {
    let vaults = store.vaults()?;
    let found = store.find(VaultNo(1), &name(number))?;
    let Some(doc) = found else { return Ok(Facts::default()) };
    let key = DocKey { vault: VaultNo(1), doc };
    let loaded = store.load(key)?;
    let asides = store.asides(key)?;
    let fixed = format!("{vaults:?} {key} {:?} {:?} {asides:?}", loaded.head, loaded.owners);
    let mut facts = Facts { fixed, last_n: loaded.last_n, ..Facts::default() };
    for entry in &loaded.entries {
        let (position, stamp, sum) = (entry.position, entry.stamp, checksum(&entry.bytes));
        let line = format!("{position} {:?} {stamp} {sum:08x}", entry.author);
        facts.entries.insert(entry.n, line);
    }
    if let Some(checkpoint) = &loaded.checkpoint {
        let line = format!("{} {:08x}", checkpoint.position, checksum(&checkpoint.state));
        facts.checkpoints.insert(checkpoint.n, line);
    }
    Ok(facts)
}

pub(super) fn checksum(bytes: &[u8]) -> u64 {
    let mut sum = 0xcbf2_9ce4_8422_2325_u64;
    for byte in bytes {
        sum = (sum ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    }
    sum
}

pub(super) fn name(number: u64) -> String {
    format!("folder/document {number}")
}

fn key(number: u64) -> DocKey {
    DocKey { vault: VaultNo(1), doc: DocId(Stamp::new(1_000 + number, 0, 7)) }
}

/// A data directory with everything in it, and the facts of its documents. With `is_crashed` its
/// last entries are durable in the journal and nowhere else.
pub(super) fn image(is_crashed: bool) -> (Image, Vec<Facts>) {
    let dir = tempfile::tempdir().expect("a directory");
    let mut last_n = [0; DOCUMENTS as usize];
    let mut due = vec![Facts::default(); DOCUMENTS as usize];
    let learn = |due: &mut Vec<Facts>, store: &Store| {
        for (number, due) in due.iter_mut().enumerate() {
            let mut now = facts(store, number as u64).expect("it is whole");
            now.remember(due);
            *due = now;
        }
    };
    for round in 0..ROUNDS {
        let store = Store::open(dir.path()).expect("a healthy store opens");
        let config = Config {
            segment_bytes: 40_000,
            fold_interval: Duration::from_secs(3600),
            ..Config::new(dir.path().join("journal"))
        };
        let (journal, _) = Journal::open(config, store.clone()).expect("a healthy journal opens");
        if round == 0 {
            create_vault(&journal);
        }
        for number in 0..DOCUMENTS {
            if round == 0 {
                create(&journal, number);
            }
            write(&journal, number, &mut last_n[number as usize], 10);
            if number % 4 == round {
                journal.fold_now().expect("a healthy journal folds");
            }
        }
        journal.fold_now().expect("a healthy journal folds");
        learn(&mut due, &store);
        for number in (0..DOCUMENTS).filter(|number| number % 3 == round) {
            let n = last_n[number as usize] - 2;
            let state = vec![number as u8; 3_000 * number as usize];
            store.put_checkpoint(key(number), n, 1, &state).expect("its entries are folded");
            store
                .thin_log(key(number), n - round, &mut |_| Vec::new())
                .expect("a checkpoint covers it");
        }
        for number in 0..DOCUMENTS {
            write(&journal, number, &mut last_n[number as usize], 3);
            settle(&journal, number, round);
        }
        journal.wait_durable(journal.written()).expect("a healthy disk");
        if round < 2 || !is_crashed {
            journal.close().expect("a healthy journal closes");
        }
    }
    let image = read_image(dir.path());
    // The facts come from a copy: looking folds the crashed one's tail.
    let copy = tempfile::tempdir().expect("a directory");
    write_image(&image, copy.path());
    let store = Store::open(copy.path()).expect("a healthy store opens");
    open(copy.path(), &store).expect("a healthy journal opens");
    learn(&mut due, &store);
    assert!(due.iter().all(|due| due.checkpoints.len() == 1), "{due:?}");
    (image, due)
}

fn create(journal: &Journal, number: u64) {
    let mut payload = Vec::new();
    let vault = "default".parse().expect("it is a name");
    Created { vault, name: name(number), epoch: 9 }.encode(&mut payload);
    append(journal, number, 0, (Kind::Created, &payload));
}

fn create_vault(journal: &Journal) {
    let mut payload = Vec::new();
    let name = "default".parse().expect("it is a name");
    VaultCreated { name, epoch: 7, seq: 0 }.encode(&mut payload);
    let doc = DocKey { vault: VaultNo(1), doc: DocId(Stamp::ZERO) };
    let (n, kind, stamp) = (0, Kind::VaultCreated, Stamp::new(900, 0, 7));
    let record = Record { doc, n, kind, stamp, author: None, payload: &payload };
    journal.append(&[record]).expect("a healthy journal takes it");
}

fn settle(journal: &Journal, number: u64, round: u64) {
    let item = item(number, round);
    let prev_seq = item.seq.saturating_sub(DOCUMENTS);
    let prev_seq = if round == 0 { 0 } else { prev_seq };
    let (n, vault) = (item.n, "default".parse().expect("it is a name"));
    let mut payload = Vec::new();
    Settled { vault, prev_seq, item, made: Made::default() }.encode(&mut payload);
    append(journal, number, n, (Kind::Settled, &payload));
}

/// Appends entries, and a claim and a refused update in between.
fn write(journal: &Journal, number: u64, last_n: &mut u64, count: u64) {
    let mut payload = Vec::new();
    let owner = Owner { client: *last_n + 1, clocks: 0..9, owner: "ann".into(), via: None };
    Claim { owners: vec![owner] }.encode(&mut payload);
    append(journal, number, *last_n, (Kind::Claim, &payload));
    for _ in 0..count {
        *last_n += 1;
        let size = (*last_n * 37 + number * 501) % 3_000;
        append(journal, number, *last_n, (Kind::Update, &vec![*last_n as u8; size as usize]));
    }
    let mut payload = Vec::new();
    payload::Refused { reason: "it did not decode", bytes: &[number as u8; 50] }
        .encode(&mut payload);
    append(journal, number, *last_n, (Kind::Quarantined, &payload));
}

fn append(journal: &Journal, number: u64, n: u64, (kind, payload): (Kind, &[u8])) {
    let doc = key(number);
    let stamp = if kind == Kind::Created { doc.doc.0 } else { Stamp::new(5_000 + n, 1, 7) };
    let record = Record { doc, n, kind, stamp, author: Some("ann"), payload };
    journal.append(&[record]).expect("a healthy journal takes it");
}

pub(super) fn read_image(dir: &Path) -> Image {
    let mut image = Image::new();
    let mut open = vec![dir.to_owned()];
    while let Some(at) = open.pop() {
        for entry in std::fs::read_dir(at).expect("it is a directory") {
            let path = entry.expect("it is there").path();
            if path.is_dir() {
                open.push(path);
            } else {
                let name = path.strip_prefix(dir).expect("it is below").to_owned();
                image.insert(name, std::fs::read(path).expect("it is a file"));
            }
        }
    }
    image
}

pub(super) fn write_image(image: &Image, dir: &Path) {
    for (name, bytes) in image {
        let path = dir.join(name);
        std::fs::create_dir_all(path.parent().expect("it is below")).expect("a directory");
        std::fs::write(path, bytes).expect("a file");
    }
}

/// sled reports damage by panicking, hundreds of times here; those are caught and need no lines.
fn quiet_sled() {
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        if !panic.location().is_some_and(|location| location.file().contains("sled-0.34")) {
            before(panic);
        }
    }));
}
