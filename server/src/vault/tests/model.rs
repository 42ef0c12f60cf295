//! Random histories of a vault against a plain model: files put, uploaded, deleted, moved and
//! restored, folders moved and deleted, versions and the feed read, and restarts in between.
//!
//! `HISTORIES` says how many on the store in memory, `HISTORY` repeats one run.

use std::time::Instant;

use rand::RngExt;
use rand::rngs::StdRng;
use sheaf_ground::time::Seed;
use sheaf_storage::journal;
use sheaf_storage::store::disk::{Disk, DiskFile, Files};

use super::*;
use crate::vault::condition::ANYHOW;
use crate::vault::tree::{Act, Asked, Step};
use crate::vault::upload::{Base, Upcoming, Upload};
use crate::vault::versions::Held;

/// Histories of one run on the store in memory, unless the environment asks for more.
const HISTORIES: u64 = 400;
/// Histories on sled.
const SLED_HISTORIES: u64 = 50;
const OPERATIONS: usize = 200;

const PATHS: [&str; 6] = ["a", "b", "d/1", "d/2", "e/1", "e/2"];
const LINES: [&str; 5] = ["one\n", "two\n", "three \u{1f600}\n", "four\n", "fu\u{308}nf\n"];

/// A disk that says at once that everything is on it.
struct Quick;

struct QuickFile(Arc<dyn DiskFile>);

impl Disk for Quick {
    fn create(&self, path: &Path) -> std::io::Result<Arc<dyn DiskFile>> {
        Ok(Arc::new(QuickFile(Files.create(path)?)))
    }

    fn open(&self, path: &Path) -> std::io::Result<Arc<dyn DiskFile>> {
        Ok(Arc::new(QuickFile(Files.open(path)?)))
    }

    fn rename(&self, from: &Path, to: &Path) -> std::io::Result<()> {
        Files.rename(from, to)
    }

    fn remove(&self, path: &Path) -> std::io::Result<()> {
        Files.remove(path)
    }

    fn sync_dir(&self, _: &Path) -> std::io::Result<()> {
        Ok(())
    }
}

impl DiskFile for QuickFile {
    fn write_at(&self, bytes: &[u8], offset: u64) -> std::io::Result<usize> {
        self.0.write_at(bytes, offset)
    }

    fn read_at(&self, bytes: &mut [u8], offset: u64) -> std::io::Result<usize> {
        self.0.read_at(bytes, offset)
    }

    fn sync_data(&self) -> std::io::Result<()> {
        Ok(())
    }

    fn set_len(&self, len: u64) -> std::io::Result<()> {
        self.0.set_len(len)
    }

    fn len(&self) -> std::io::Result<u64> {
        self.0.len()
    }
}

/// A file that is or was.
#[derive(Clone, Debug, Default)]
struct Doc {
    path: String,
    text: String,
    is_deleted: bool,
    seq: u64,
    /// Seq and text of each version; no text where it is a deletion.
    versions: Vec<(u64, Option<String>)>,
    names: usize,
}

/// What a vault should be.
#[derive(Debug, Default)]
struct Model {
    seq: u64,
    docs: Vec<Doc>,
}

impl Model {
    fn live(&self, path: &str) -> Option<usize> {
        self.docs.iter().position(|doc| !doc.is_deleted && doc.path == path)
    }

    /// Live files below a folder, by path.
    fn under(&self, folder: &str) -> Vec<usize> {
        let is_in = |at: &usize| {
            let doc = &self.docs[*at];
            !doc.is_deleted && doc.path.starts_with(folder)
        };
        let mut found: Vec<usize> = (0..self.docs.len()).filter(is_in).collect();
        found.sort_by(|one, two| self.docs[*one].path.cmp(&self.docs[*two].path));
        found
    }

    /// A document changed, and takes the next seq.
    fn commit(&mut self, at: usize) -> u64 {
        self.seq += 1;
        let doc = &mut self.docs[at];
        doc.seq = self.seq;
        doc.versions.push((doc.seq, (!doc.is_deleted).then(|| doc.text.clone())));
        doc.seq
    }

    fn put(&mut self, path: &str, text: &str) -> u64 {
        match self.live(path) {
            Some(at) if self.docs[at].text == text => self.docs[at].seq,
            Some(at) => {
                text.clone_into(&mut self.docs[at].text);
                self.commit(at)
            }
            None => {
                let doc = Doc { path: path.into(), text: text.into(), ..Doc::default() };
                self.docs.push(doc);
                self.commit(self.docs.len() - 1)
            }
        }
    }

    /// Seq, path and whether it is deleted, as the feed tells it.
    fn feed(&self, since: u64) -> Vec<(u64, String, bool)> {
        let is_told = |doc: &&Doc| doc.seq > since && (since > 0 || !doc.is_deleted);
        let told = self.docs.iter().filter(is_told);
        let mut rows: Vec<_> =
            told.map(|doc| (doc.seq, doc.path.clone(), doc.is_deleted)).collect();
        rows.sort_unstable();
        rows
    }
}

/// One history: a vault, its model, and what is drawn.
struct History {
    world: World,
    store: Option<Store>,
    model: Model,
    draw: StdRng,
}

fn upload(text: &str, base: Base) -> Upload<'_> {
    Upload { base, ..Upload::of(Upcoming::Text(text)) }
}

fn begin(dir: &Path, store: &Store) -> (Ground, Vaults) {
    let config = journal::Config {
        sync_busy: Duration::ZERO,
        sync_idle: Duration::ZERO,
        disk: Arc::new(Quick),
        ..journal::Config::new(dir.join("journal"))
    };
    let bounds = (1 << 30, Quota::default());
    let ground = Ground::over(store.clone(), config, &Clock::system(), bounds);
    let vaults = Vaults::new(ground.registry.clone()).unwrap();
    (ground, vaults)
}

impl History {
    fn new(draw: StdRng, is_on_sled: bool) -> Self {
        let (world, store) = if is_on_sled {
            (World::new(), None)
        } else {
            let (dir, store) = (TempDir::new().unwrap(), Store::in_memory().unwrap());
            let (ground, vaults) = begin(dir.path(), &store);
            (World { ground, vaults, dir, clients: 0 }, Some(store))
        };
        Self { world, store, model: Model::default(), draw }
    }

    fn restart(self) -> Self {
        let Self { world, store, model, draw } = self;
        let Some(store) = store else {
            let world = if model.seq % 2 == 0 { world.restart() } else { world.crash() };
            return Self { world, store: None, model, draw };
        };
        world.ground.shared.journal.close().unwrap();
        let World { ground, vaults, dir, clients } = world;
        drop((ground, vaults));
        let (ground, vaults) = begin(dir.path(), &store);
        Self { world: World { ground, vaults, dir, clients }, store: Some(store), model, draw }
    }

    fn path(&mut self) -> &'static str {
        PATHS[self.draw.random_range(0..PATHS.len())]
    }

    fn text(&mut self) -> String {
        let chosen: u8 = self.draw.random_range(0..32);
        let lines = LINES.iter().enumerate().filter(|(at, _)| chosen >> at & 1 == 1);
        lines.map(|(_, line)| *line).collect()
    }

    async fn step(&mut self) {
        match self.draw.random_range(0..20) {
            0..=5 => self.put().await,
            6 | 7 => self.delete().await,
            8 | 9 => self.relocate().await,
            10 | 11 => self.restore().await,
            12 => self.folder(None).await,
            13 => self.folder(Some("e/")).await,
            14 => self.label().await,
            15..=17 => self.read().await,
            _ => {
                let since = self.draw.random_range(0..=self.model.seq);
                assert_eq!(self.world.feed(since), self.model.feed(since), "behind {since}");
            }
        }
    }

    async fn put(&mut self) {
        let (path, text) = (self.path(), self.text());
        let live = self.model.live(path).map(|at| self.model.docs[at].seq);
        let base = match live.filter(|_| self.draw.random()) {
            Some(seq) => Base::Version(seq),
            None => Base::Now,
        };
        let done = self.world.vaults.upload(&home(), path, BY, upload(&text, base)).await.unwrap();
        let seq = self.model.put(path, &text);
        assert_eq!((done.version, done.is_merged), (seq, false), "{path} {text:?} {base:?}");
    }

    async fn delete(&mut self) {
        let path = self.path();
        let done = self.world.vaults.delete_file(&home(), path, BY, ANYHOW).await;
        match self.model.live(path) {
            None => assert!(matches!(done, Err(Error::NoFile | Error::NoVault)), "{done:?}"),
            Some(at) => {
                self.model.docs[at].is_deleted = true;
                assert_eq!(done, Ok(self.model.commit(at)));
            }
        }
    }

    async fn relocate(&mut self) {
        let (from, to) = (self.path(), self.path());
        let Some(at) = self.model.live(from).filter(|_| from != to) else { return };
        let done = self.world.vaults.move_file(&home(), from, to, BY, ANYHOW).await;
        if self.model.live(to).is_some() {
            assert!(matches!(done, Err(Error::PathTaken { .. })), "{done:?}");
            return;
        }
        to.clone_into(&mut self.model.docs[at].path);
        assert_eq!(done, Ok(self.model.commit(at)));
    }

    /// A version of a live file, of which there is a text.
    fn version(&mut self) -> Option<(usize, u64, String)> {
        let path = self.path();
        let at = self.model.live(path)?;
        let versions = &self.model.docs[at].versions;
        let (seq, text) = &versions[self.draw.random_range(0..versions.len())];
        Some((at, *seq, text.clone()?))
    }

    async fn restore(&mut self) {
        let Some((at, seq, text)) = self.version() else { return };
        let path = self.model.docs[at].path.clone();
        let done = self.world.vaults.restore(&home(), &path, seq, (BY, ANYHOW)).await;
        assert_eq!(
            done.map(|(_, seq)| seq),
            Ok(self.model.put(&path, &text)),
            "{path} as at {seq}"
        );
    }

    async fn label(&mut self) {
        let Some((at, seq, _)) = self.version() else { return };
        let path = self.model.docs[at].path.clone();
        let before = self.names(&path);
        let name = format!("name {before}");
        let done = self.world.vaults.label(&home(), &path, Some(seq), (Some(&name), &NOBODY)).await;
        assert_eq!(done, Ok(seq));
        self.world.fold();
        self.model.docs[at].names = self.names(&path);
        assert!(self.model.docs[at].names >= before.max(1));
    }

    fn names(&self, path: &str) -> usize {
        let page = self.world.vaults.versions(&home(), path, None, 1_000).unwrap();
        page.items.iter().filter(|it| it.label.is_some()).count()
    }

    /// Moves or deletes the folder `d/`.
    async fn folder(&mut self, to: Option<&'static str>) {
        let act = to.map_or(Act::Delete { base: None, asked: Asked::default() }, |to| Act::Move {
            to,
            asked: Asked::default(),
        });
        let steps = [Step { path: "d/", act }];
        let done = self.world.vaults.change(&home(), &steps, BY).await;
        let all = self.model.under("d/");
        let target = |doc: &Doc| to.map(|to| doc.path.replacen("d/", to, 1));
        let is_taken = |at: &usize| {
            let target = target(&self.model.docs[*at]);
            target.is_some_and(|target| self.model.live(&target).is_some())
        };
        if all.is_empty() || all.iter().any(is_taken) {
            assert!(done.is_err(), "{done:?}");
            return;
        }
        let done = done.unwrap();
        for at in &all {
            let doc = &mut self.model.docs[*at];
            match target(doc) {
                Some(target) => doc.path = target,
                None => doc.is_deleted = true,
            }
            self.model.commit(*at);
        }
        assert_eq!((done[0].seq, done[0].count), (self.model.seq, all.len()));
    }

    /// Reads a file as it was at any seq.
    async fn read(&mut self) {
        let path = self.path();
        let Some(at) = self.model.live(path) else { return };
        let seq = self.draw.random_range(1..=self.model.seq);
        let versions = &self.model.docs[at].versions;
        let due = versions.iter().rev().find(|(it, _)| *it <= seq);
        let read = self.world.vaults.read_at(&home(), path, Some(seq)).await;
        match due {
            Some((due_seq, Some(text))) => {
                let read = read.unwrap();
                assert_eq!(read.dated.version.item.seq, *due_seq);
                assert_eq!(read.held, Held::Text(text.clone()), "{path} at {seq}");
            }
            // Before it was there another file may have had its path.
            _ => drop(read),
        }
    }

    /// Compares everything.
    async fn check(&self) {
        for since in [0, 1] {
            assert_eq!(self.world.feed(since), self.model.feed(since));
        }
        for doc in self.model.docs.iter().filter(|doc| !doc.is_deleted) {
            let page = self.world.vaults.versions(&home(), &doc.path, None, 1_000).unwrap();
            let seqs: Vec<u64> = page.items.iter().map(|it| it.version.item.seq).collect();
            let due: Vec<u64> = doc.versions.iter().rev().map(|(seq, _)| *seq).collect();
            assert_eq!(seqs, due, "{}", doc.path);
            assert_eq!(self.names(&doc.path), doc.names, "{}", doc.path);
            let text = self.world.text(&doc.path).await.unwrap_or_default();
            assert_eq!(text, doc.text, "{}", doc.path);
        }
    }
}

async fn live(number: u64, is_on_sled: bool) {
    let seed = Seed::fixed(number);
    let mut history = History::new(seed.generator("a history"), is_on_sled);
    history.put().await;
    for _ in 0..OPERATIONS {
        history.step().await;
        if history.draw.random_ratio(1, 60) {
            history = history.restart();
        }
    }
    history.check().await;
    history.restart().check().await;
}

/// Lives histories on as many threads as there are cores here, two.
fn live_all(first: u64, count: u64, is_on_sled: bool) {
    std::thread::scope(|scope| {
        for half in 0..2 {
            scope.spawn(move || {
                for number in (first + half..first + count).step_by(2) {
                    let lived = std::panic::AssertUnwindSafe(|| run(live(number, is_on_sled)));
                    if let Err(panic) = std::panic::catch_unwind(lived) {
                        println!("history {number} went wrong: HISTORY={number}");
                        std::panic::resume_unwind(panic);
                    }
                }
            });
        }
    });
}

fn asked(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|number| number.parse().expect("a number"))
}

#[test]
#[expect(clippy::disallowed_methods, reason = "it says how long it took")]
fn random_histories_are_what_a_plain_model_says() {
    let begun = Instant::now();
    let count = asked("HISTORIES").unwrap_or(HISTORIES);
    let first = asked("HISTORY").unwrap_or_else(|| u64::from(rand::random::<u32>()));
    live_all(first, count, false);
    println!("{count} histories from {first} on: {:.1?}", begun.elapsed());
}

#[test]
fn random_histories_are_what_a_plain_model_says_on_sled_too() {
    let first = asked("HISTORY").unwrap_or_else(|| u64::from(rand::random::<u32>()));
    println!("from {first} on");
    live_all(first, SLED_HISTORIES, true);
}
