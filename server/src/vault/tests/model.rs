//! Random histories of a vault against a plain model: texts and bytes put and uploaded, files
//! deleted, moved and restored, folders moved and deleted, many of that in one push, what was
//! stamped sent again, versions and the feed read, and restarts in between.
//!
//! `HISTORIES` says how many on the store in memory, `HISTORY` repeats one run.

use std::collections::HashMap;
use std::time::Instant;

use rand::RngExt;
use rand::rngs::StdRng;
use sheaf_ground::time::Seed;
use sheaf_protocol::stamp::Stamp;
use sheaf_storage::journal;
use sheaf_storage::store::disk::{Disk, DiskFile, Files};

use super::*;
use crate::vault::condition::ANYHOW;
use crate::vault::tree::{Act, Asked, Done, Step, Undone};
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

/// What a file holds.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Body {
    Text(String),
    Bytes(u8),
}

impl Body {
    fn coming(&self) -> Upcoming<'_> {
        match self {
            Body::Text(text) => Upcoming::Text(text),
            Body::Bytes(byte) => Upcoming::Blob { hash: [*byte; 32], size: u64::from(*byte) },
        }
    }
}

/// A file that is or was.
#[derive(Clone, Debug)]
struct Doc {
    path: String,
    body: Body,
    is_deleted: bool,
    seq: u64,
    /// Seq and content of each version; none where it is a deletion.
    versions: Vec<(u64, Option<Body>)>,
    /// When its content came; none yet: just now.
    came: Option<Stamp>,
    names: usize,
}

impl Doc {
    /// Whether bytes that were made of a version are made of another content than there is now.
    fn is_other(&self, base: u64) -> bool {
        let is_same = |of: &Option<Body>| of.as_ref() == Some(&self.body);
        let mut before = self.versions.iter().rev().filter(|(seq, _)| *seq <= base);
        if before.next().is_some_and(|(_, of)| is_same(of)) {
            return false;
        }
        let since = self.versions.iter().rev().take_while(|(_, of)| is_same(of));
        !since.into_iter().any(|(seq, _)| *seq <= base)
    }
}

/// One step of a push, as it is sent.
#[derive(Clone, Debug)]
struct Sent {
    path: &'static str,
    what: What,
    stamp: Option<Stamp>,
}

#[derive(Clone, Debug)]
enum What {
    Upload(Body, Base),
    Delete(Option<u64>),
    Move(&'static str),
}

/// What a step is answered with: the version, the files that were moved or deleted, the text that
/// was merged, and whether it is a conflict.
type Told = (u64, usize, Option<String>, bool);

fn told(done: &Done) -> Told {
    let uploaded = done.uploaded.as_ref();
    let is_conflict = uploaded.is_some_and(|it| it.is_conflict);
    (done.seq, done.count, uploaded.and_then(|it| it.content.clone()), is_conflict)
}

/// What a vault should be.
#[derive(Clone, Debug, Default)]
struct Model {
    seq: u64,
    docs: Vec<Doc>,
    /// What was put into which document, made of which version: it may come again without a stamp.
    uploads: Vec<(usize, &'static str, Body, u64)>,
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
        doc.versions.push((doc.seq, (!doc.is_deleted).then(|| doc.body.clone())));
        doc.seq
    }

    fn put(&mut self, path: &str, body: &Body) -> u64 {
        let at = self.live(path).unwrap_or_else(|| self.make(path, body));
        self.set(at, body)
    }

    /// A file that has no version yet.
    fn make(&mut self, path: &str, body: &Body) -> usize {
        let (path, body) = (path.to_owned(), body.clone());
        let (versions, came, names) = Default::default();
        self.docs.push(Doc { path, body, is_deleted: false, seq: 0, versions, came, names });
        self.docs.len() - 1
    }

    fn set(&mut self, at: usize, body: &Body) -> u64 {
        if self.docs[at].body == *body && self.docs[at].seq > 0 {
            return self.docs[at].seq;
        }
        self.docs[at].body = body.clone();
        self.docs[at].came = None;
        self.commit(at)
    }

    /// What a push does that is answered so; the step that cannot be done, and why.
    fn push(&mut self, steps: &[Sent], done: &[Told]) -> Result<Vec<Told>, (usize, &'static str)> {
        let was = self.clone();
        let (mut busy, mut due) = (HashMap::new(), vec![(0, 0, None, false); steps.len()]);
        let mut written = Vec::new();
        for (step, Sent { path, what, .. }) in steps.iter().enumerate() {
            let fail = |word| Err((step, word));
            let is_folder = path.ends_with('/');
            if let Some(told) = was.done_before(&steps[step]) {
                due[step] = told;
                continue;
            }
            match what {
                What::Upload(body, base) => {
                    let at = match self.live(path) {
                        Some(at) => at,
                        None if matches!(base, Base::Version(1..)) => return fail("step"),
                        None => self.make(path, body),
                    };
                    if busy.insert(at, true).is_some() {
                        return fail("step");
                    }
                    written.push((step, at));
                    continue;
                }
                What::Delete(Some(base)) if !is_folder => match self.live(path) {
                    Some(at) if was.docs.get(at).is_some_and(|doc| doc.seq > *base) => {
                        return fail("edited");
                    }
                    _ => {}
                },
                What::Delete(_) | What::Move(_) => {}
            }
            let all = match is_folder {
                true => self.under(path),
                false => self.live(path).into_iter().collect(),
            };
            if all.is_empty() {
                return fail("none");
            }
            let mut moved = Vec::new();
            for at in all {
                if busy.insert(at, false) == Some(true) {
                    return fail("step");
                }
                match what {
                    What::Move(to) => {
                        moved.push((at, self.docs[at].path.replacen(path, to, 1)));
                        self.docs[at].path = String::new();
                    }
                    _ => self.docs[at].is_deleted = true,
                }
                if moved.is_empty() {
                    due[step] = (self.commit(at), due[step].1 + 1, None, false);
                }
            }
            for (at, to) in moved {
                if self.live(&to).is_some() {
                    return fail("taken");
                }
                self.docs[at].path = to;
                due[step] = (self.commit(at), due[step].1 + 1, None, false);
            }
        }
        self.take_in(steps, (written, done), &mut due);
        Ok(due)
    }

    /// What an upload without a stamp is answered with that came before.
    fn done_before(&self, Sent { path, what, stamp }: &Sent) -> Option<Told> {
        let What::Upload(body, Base::Version(base @ 1..)) = what else { return None };
        let at = self.live(path).filter(|_| stamp.is_none())?;
        let is_it = self.uploads.contains(&(at, path, body.clone(), *base));
        let doc = self.docs.get(at).filter(|_| is_it)?;
        let is_other = doc.body != *body;
        Some(match (&doc.body, body) {
            (Body::Bytes(_), _) | (_, Body::Bytes(_)) => (doc.seq, 0, None, is_other),
            (Body::Text(now), _) => (doc.seq, 0, is_other.then(|| now.clone()), false),
        })
    }

    /// What comes in takes its seqs behind the rest.
    fn take_in(
        &mut self,
        steps: &[Sent],
        (written, done): (Vec<(usize, usize)>, &[Told]),
        due: &mut [Told],
    ) {
        for (step, at) in written {
            let What::Upload(body, base) = &steps[step].what else { unreachable!() };
            let (seq, is_bytes) = (self.docs[at].seq, matches!(body, Body::Bytes(_)));
            let is_held = seq > 0 && self.docs[at].body == *body;
            let is_older = matches!(base, Base::Version(it) if *it < seq);
            let is_stale = is_bytes && !is_held && is_older && {
                let Base::Version(base) = base else { unreachable!() };
                self.docs[at].is_other(*base)
            };
            if let (true, Some(stamp), Some(came)) =
                (is_stale, steps[step].stamp, self.docs[at].came)
                && came > stamp
            {
                let won = std::mem::replace(&mut self.docs[at].body, body.clone());
                self.commit(at);
                self.docs[at].body = won;
                due[step] = (self.commit(at), 0, None, true);
                self.note(at, &steps[step]);
                continue;
            }
            // How texts are merged is the business of others: what is told must be there.
            let content = done.get(step).and_then(|told| told.2.clone());
            let is_merge = !is_bytes && matches!(base, Base::Version(_)) && seq > 0;
            let content = content.filter(|_| is_merge);
            let after = content.clone().map_or_else(|| body.clone(), Body::Text);
            due[step] = (self.set(at, &after), 0, content, is_stale);
            if self.docs[at].seq > seq {
                self.docs[at].came = steps[step].stamp.filter(|_| is_bytes);
                self.note(at, &steps[step]);
            }
        }
    }

    /// An upload that changed something may come again.
    fn note(&mut self, at: usize, Sent { path, what, .. }: &Sent) {
        if let What::Upload(body, Base::Version(base)) = what {
            self.uploads.push((at, path, body.clone(), *base));
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
    /// Pushes of stamped steps, with their answers.
    sent: Vec<(Vec<Sent>, Vec<Told>)>,
    /// Stamps of changes that are to be brought later.
    spare: Vec<Stamp>,
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
        Self { world, store, model: Model::default(), sent: Vec::new(), spare: Vec::new(), draw }
    }

    fn restart(self) -> Self {
        let Self { world, store, mut model, sent, spare, draw } = self;
        model.uploads.clear();
        let Some(store) = store else {
            let world = if model.seq % 2 == 0 { world.restart() } else { world.crash() };
            return Self { world, store: None, model, sent, spare, draw };
        };
        world.ground.shared.journal.close().unwrap();
        let World { ground, vaults, dir, clients } = world;
        drop((ground, vaults));
        let (ground, vaults) = begin(dir.path(), &store);
        let world = World { ground, vaults, dir, clients };
        Self { world, store: Some(store), model, sent, spare, draw }
    }

    fn path(&mut self) -> &'static str {
        PATHS[self.draw.random_range(0..PATHS.len())]
    }

    fn text(&mut self) -> String {
        let chosen: u8 = self.draw.random_range(0..32);
        let lines = LINES.iter().enumerate().filter(|(at, _)| chosen >> at & 1 == 1);
        lines.map(|(_, line)| *line).collect()
    }

    fn body(&mut self) -> Body {
        match self.draw.random_ratio(1, 4) {
            true => Body::Bytes(self.draw.random_range(1..4)),
            false => Body::Text(self.text()),
        }
    }

    async fn step(&mut self) {
        self.take_step().await;
        self.date();
    }

    /// What came without a stamp, came just now.
    fn date(&mut self) {
        let now = self.world.ground.registry.stamp();
        for doc in &mut self.model.docs {
            doc.came.get_or_insert(now);
        }
    }

    async fn take_step(&mut self) {
        match self.draw.random_range(0..26) {
            20..=23 => self.push().await,
            24 | 25 => self.again().await,
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
        let body = Body::Text(text.clone());
        let seq = self.model.put(path, &body);
        assert_eq!((done.version, done.is_merged), (seq, false), "{path} {text:?} {base:?}");
        if let (Base::Version(base), Some(at)) = (base, self.model.live(path))
            && live != Some(seq)
        {
            self.model.uploads.push((at, path, body, base));
        }
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

    /// What a file is uploaded with: of the version that it has, of an earlier text, or of none.
    fn base(&mut self, path: &str, body: &Body) -> Base {
        let Some(at) = self.model.live(path) else {
            return [Base::Now, Base::Version(0)][self.draw.random_range(0..2)];
        };
        let is_base = |body: &Body| matches!(body, Body::Text(_));
        let texts = self.model.docs[at].versions.iter();
        let texts = texts.filter(|(_, of)| of.as_ref().is_some_and(is_base));
        let texts: Vec<u64> = texts.map(|(seq, _)| *seq).collect();
        let any = self.model.docs[at].versions.iter().map(|(seq, _)| *seq);
        let bases = if is_base(body) { texts } else { any.collect() };
        match self.draw.random_range(0..4) {
            0 => Base::Now,
            1 => Base::Version(0),
            2 if !bases.is_empty() => Base::Version(bases[self.draw.random_range(0..bases.len())]),
            _ => Base::Version(self.model.docs[at].seq),
        }
    }

    fn sent(&mut self, is_stamped: bool) -> Sent {
        let path = self.path();
        let folder = self.draw.random_ratio(1, 8);
        let (path, what) = match self.draw.random_range(0..8) {
            0 if folder => ("d/", What::Delete(None)),
            1 if folder => ("d/", What::Move("e/")),
            0 => {
                let base = self.draw.random_range(0..=self.model.seq);
                (path, What::Delete(self.draw.random::<bool>().then_some(base)))
            }
            1 | 2 => {
                let to: Vec<_> = PATHS.into_iter().filter(|to| *to != path).collect();
                (path, What::Move(to[self.draw.random_range(0..to.len())]))
            }
            _ => {
                let body = self.body();
                let base = self.base(path, &body);
                (path, What::Upload(body, base))
            }
        };
        if self.draw.random_ratio(1, 4) {
            self.spare.push(self.world.ground.registry.stamp());
        }
        let spare = self.draw.random_ratio(1, 2).then(|| self.spare.pop()).flatten();
        let stamp = spare.unwrap_or_else(|| self.world.ground.registry.stamp());
        Sent { path, what, stamp: Some(stamp).filter(|_| is_stamped) }
    }

    async fn change(&self, sent: &[Sent]) -> Result<Vec<Told>, Undone> {
        let uploads = sent.iter().map(|Sent { what, stamp, .. }| match what {
            What::Upload(body, base) => {
                Some(Upload { base: *base, stamp: *stamp, ..Upload::of(body.coming()) })
            }
            _ => None,
        });
        let uploads: Vec<_> = uploads.collect();
        let step = |(Sent { path, what, stamp }, upload): (&Sent, _)| {
            let asked = Asked { stamp: *stamp, ..Asked::default() };
            let act = match (what, upload) {
                (What::Delete(base), _) => Act::Delete { base: *base, asked },
                (What::Move(to), _) => Act::Move { to, asked },
                (What::Upload(..), upload) => Act::Upload(upload),
            };
            Step { path, act }
        };
        let nothing = Upload::of(Upcoming::Text(""));
        let uploads = uploads.iter().map(|upload| upload.as_ref().unwrap_or(&nothing));
        let steps: Vec<_> = sent.iter().zip(uploads).map(step).collect();
        let done = self.world.vaults.change(&home(), &steps, BY).await?;
        Ok(done.iter().map(told).collect())
    }

    /// Sends one upload by itself, or many steps as one change.
    async fn push(&mut self) {
        let is_stamped = self.draw.random();
        let count = self.draw.random_range(1..5);
        let sent: Vec<Sent> = (0..count).map(|_| self.sent(is_stamped)).collect();
        let mut after = self.model.clone();
        let done = match (&sent[..], self.draw.random()) {
            ([Sent { path, what: What::Upload(body, base), stamp }], true) => {
                let upload = Upload { base: *base, stamp: *stamp, ..Upload::of(body.coming()) };
                let done = self.world.vaults.upload(&home(), path, BY, upload).await.unwrap();
                Ok(vec![told(&done.into())])
            }
            _ => self.change(&sent).await,
        };
        let due = after.push(&sent, done.as_deref().unwrap_or_default());
        let done = done.map_err(|Undone { step, error }| {
            let word = match error {
                Error::NoFile => "none",
                Error::EditWins { .. } => "edited",
                Error::PathTaken { .. } => "taken",
                Error::BadStep(_) => "step",
                error => panic!("{error:?} of {sent:?}"),
            };
            (step.unwrap(), word)
        });
        assert_eq!(done, due, "{sent:?}");
        if let Ok(done) = done {
            self.model = after;
            if is_stamped {
                self.sent.push((sent, done));
            }
        }
    }

    /// Sends again what was done: it is answered as before, and nothing changes.
    async fn again(&mut self) {
        if self.sent.is_empty() {
            return;
        }
        let at = self.draw.random_range(0..self.sent.len());
        let (sent, due) = &self.sent[at];
        assert_eq!(self.change(sent).await.as_ref(), Ok(due), "{sent:?}");
        for (Sent { path, what, stamp }, due) in sent.iter().zip(due) {
            if let What::Upload(body, base) = what {
                let upload = Upload { base: *base, stamp: *stamp, ..Upload::of(body.coming()) };
                let done = self.world.vaults.upload(&home(), path, BY, upload).await.unwrap();
                assert_eq!(told(&done.into()), *due, "{path} {what:?}");
            }
        }
        assert_eq!(self.world.vaults.get(&home()).unwrap().seq, self.model.seq, "{sent:?}");
    }

    /// A version of a live file, of which there is a content.
    fn version(&mut self) -> Option<(usize, u64, Body)> {
        let path = self.path();
        let at = self.model.live(path)?;
        let versions = &self.model.docs[at].versions;
        let (seq, body) = &versions[self.draw.random_range(0..versions.len())];
        Some((at, *seq, body.clone()?))
    }

    async fn restore(&mut self) {
        let Some((at, seq, body)) = self.version() else { return };
        let path = self.model.docs[at].path.clone();
        let done = self.world.vaults.restore(&home(), &path, seq, (BY, ANYHOW)).await;
        assert_eq!(
            done.map(|(_, seq)| seq),
            Ok(self.model.put(&path, &body)),
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
            Some((due_seq, Some(body))) => {
                let read = read.unwrap();
                assert_eq!(read.dated.version.item.seq, *due_seq);
                let due = match body.coming() {
                    Upcoming::Text(text) => Held::Text(text.to_owned()),
                    Upcoming::Blob { hash, size } => Held::Blob { hash, size },
                };
                assert_eq!(read.held, due, "{path} at {seq}");
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
            let file = self.world.vaults.file(&home(), &doc.path).unwrap();
            match doc.body.coming() {
                Upcoming::Text(due) => {
                    assert_ne!(file.kind, Kind::Blob, "{}", doc.path);
                    let text = self.world.text(&doc.path).await.unwrap_or_default();
                    assert_eq!(text, due, "{}", doc.path);
                }
                Upcoming::Blob { hash, size } => {
                    let due = (Kind::Blob, Some(hash), size);
                    assert_eq!((file.kind, file.hash, file.size), due, "{}", doc.path);
                }
            }
        }
    }
}

async fn live(number: u64, is_on_sled: bool) {
    let seed = Seed::fixed(number);
    let mut history = History::new(seed.generator("a history"), is_on_sled);
    history.put().await;
    history.date();
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

/// A push that was prepared anew for ever; an upload that came to the text that was there; a text
/// over bytes that had the time of the same text before them.
#[test]
fn histories_that_went_wrong_once_go_right() {
    for number in [411_846_629, 411_846_662, 3_464_796_274, 3_400_868_209] {
        live_all(number, 1, false);
    }
}

#[test]
fn random_histories_are_what_a_plain_model_says_on_sled_too() {
    let first = asked("HISTORY").unwrap_or_else(|| u64::from(rand::random::<u32>()));
    println!("from {first} on");
    live_all(first, SLED_HISTORIES, true);
}
