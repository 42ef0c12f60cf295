//! Random orders of putting, asking, referring, forgetting, waiting and sweeping, against a model:
//! what is referred to, or was promised within a day, is there and right.

use std::collections::{BTreeMap, HashSet};

use super::*;

#[derive(Clone, Debug)]
enum Step {
    Put(usize),
    /// Of a blob, some first part, and then no more.
    Begin(usize, usize),
    /// The rest, from where it is.
    GoOn(usize),
    Want(usize),
    Assemble(usize),
    /// Holds it, and refers to it if it is there.
    Refer(usize),
    Forget(usize),
    Pass(u64),
    Sweep,
    /// Sweeps, and somebody asks in between.
    SweepWhile(usize),
    Restart,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let blob = 0..5usize;
    let step = prop_oneof![
        3 => blob.clone().prop_map(Step::Put),
        2 => (blob.clone(), 0..MIB * 2).prop_map(|(blob, bytes)| Step::Begin(blob, bytes)),
        2 => blob.clone().prop_map(Step::GoOn),
        3 => blob.clone().prop_map(Step::Want),
        1 => blob.clone().prop_map(Step::Assemble),
        3 => blob.clone().prop_map(Step::Refer),
        2 => blob.clone().prop_map(Step::Forget),
        3 => (1..30u64).prop_map(Step::Pass),
        3 => Just(Step::Sweep),
        2 => blob.prop_map(Step::SweepWhile),
        1 => Just(Step::Restart),
    ];
    prop::collection::vec(step, 1..40)
}

/// Two small ones, and three large ones that share most of their chunks.
fn contents() -> Vec<Vec<u8>> {
    let large = bytes(9, MIB + MIB / 2);
    let mut with_more = large.clone();
    with_more.splice(100..100, *b"more");
    let mut at_the_end = large.clone();
    at_the_end.extend_from_slice(b"more");
    vec![b"one".to_vec(), bytes(8, 1000), large, with_more, at_the_end]
}

struct Model {
    world: World,
    contents: Vec<Vec<u8>>,
    hashes: Vec<Hash>,
    referred: HashSet<Hash>,
    /// By blob, until when it was promised, in hours.
    promised: BTreeMap<usize, u64>,
    hours: u64,
}

struct Marks<'a> {
    model: &'a Model,
    then: Option<usize>,
}

impl InUse for Marks<'_> {
    fn mark(&self, vault: VaultNo, mark: &mut dyn FnMut(Hash)) -> bool {
        assert_eq!(vault, HERE);
        self.model.referred.iter().copied().for_each(mark);
        if let Some(blob) = self.then {
            let _ = self.model.world.blobs.want(HERE, &self.model.hashes[blob]).expect("answered");
        }
        true
    }
}

impl Model {
    fn new() -> Model {
        let contents = contents();
        let hashes = contents.iter().map(|content| Hash::of(content)).collect();
        let (referred, promised) = Default::default();
        Model { world: World::new(), contents, hashes, referred, promised, hours: 0 }
    }

    fn promise(&mut self, blob: usize) {
        self.promised.insert(blob, self.hours + 24);
    }

    fn send(&mut self, blob: usize, from: usize, to: usize) -> Incoming {
        let upload = self.world.blobs.upload(HERE, &self.hashes[blob], from as u64);
        let mut incoming = upload.expect("begun");
        incoming.take(&self.contents[blob][from..to]).expect("taken");
        incoming
    }

    fn run(&mut self, step: &Step) {
        let blobs = self.world.blobs.clone();
        match *step {
            Step::Put(blob) => {
                blobs.put(HERE, &self.contents[blob]).expect("stored");
                self.promise(blob);
            }
            Step::Begin(blob, bytes) => {
                let end = bytes.min(self.contents[blob].len());
                drop(self.send(blob, 0, end));
            }
            Step::GoOn(blob) => {
                let at = blobs.offset(HERE, &self.hashes[blob]).expect("answered") as usize;
                let incoming = self.send(blob, at, self.contents[blob].len());
                incoming.finish().expect("stored");
                self.promise(blob);
            }
            Step::Want(blob) => {
                if blobs.want(HERE, &self.hashes[blob]).expect("answered") {
                    self.promise(blob);
                }
            }
            Step::Assemble(blob) => {
                let found = blobs.find(HERE, &self.hashes[blob]).expect("right");
                let chunks = found.map(|found| found.chunks().to_vec());
                if let Some(chunks) = chunks.filter(|chunks| chunks.len() > 1) {
                    blobs.assemble(HERE, &self.hashes[blob], &chunks).expect("stored");
                    self.promise(blob);
                }
            }
            Step::Refer(blob) => {
                if let Some(hold) = blobs.hold(HERE, &self.hashes[blob]).expect("answered") {
                    assert_eq!(hold.size(), self.contents[blob].len() as u64);
                    self.referred.insert(hold.hash());
                    self.promise(blob);
                }
            }
            Step::Forget(blob) => drop(self.referred.remove(&self.hashes[blob])),
            Step::Pass(hours) => {
                self.world.pass(hours);
                self.hours += hours;
            }
            Step::Sweep => {
                blobs.sweep(&Marks { model: self, then: None }).expect("swept");
            }
            Step::SweepWhile(blob) => {
                let marks = Marks { model: self, then: Some(blob) };
                blobs.sweep(&marks).expect("swept");
            }
            Step::Restart => self.world.reopen(),
        }
    }

    fn check(&self) {
        for (blob, hash) in self.hashes.iter().enumerate() {
            let is_promised = self.promised.get(&blob).is_some_and(|until| *until >= self.hours);
            let content = self.world.read(hash);
            if is_promised || self.referred.contains(hash) {
                assert!(content.is_some(), "blob {blob} is gone");
            }
            assert!(content.is_none_or(|content| content == self.contents[blob]));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_is_referred_to_or_promised_is_there(steps in steps()) {
        let mut model = Model::new();
        for step in &steps {
            model.run(step);
            model.check();
        }
        // And nothing is left of what nobody needs.
        model.referred.clear();
        model.run(&Step::Pass(25));
        for _ in 0..2 {
            model.run(&Step::Sweep);
        }
        assert!(model.world.files().is_empty() && model.world.partials() == 0);
    }
}
