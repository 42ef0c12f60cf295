//! Seeded convergence: replicas edit one document through a server while frames are lost, doubled
//! and overtake each other, connections break and the server restarts; in the end all hold the
//! same.
//!
//! A case is a plan, a list of steps drawn from a seed. When one fails, the plan is made as short
//! as it can be and written to `tests/out/`; `SHEAF_PLAN=<file>` runs it again. `SHEAF_SEED`
//! replaces the seeds, `SHEAF_CASES` the number of cases of each.

mod canonical;
mod edit;
mod plan;
mod world;

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use sheaf_tests::documents::Site;
use sheaf_tests::model::{Hub, Model};
use sheaf_tests::seed;

use self::plan::Plan;
use self::world::World;

/// Cases of one run on the server's own documents, 500 for each of four seeds.
const CASES: u64 = 500;
/// Cases where each restart opens store and journal on disk again, which takes its time.
const DISK_CASES: u64 = 25;
/// How often a failing plan is tried while it is made shorter.
const ATTEMPTS_MAX: usize = 400;

#[test]
fn replicas_converge_on_the_servers_documents_with_the_first_seed() {
    converge(Site::in_memory, CASES, 1);
}

#[test]
fn replicas_converge_on_the_servers_documents_with_the_second_seed() {
    converge(Site::in_memory, CASES, 10_000);
}

#[test]
fn replicas_converge_on_the_servers_documents_with_the_third_seed() {
    converge(Site::in_memory, CASES, 20_000);
}

#[test]
fn replicas_converge_on_the_servers_documents_with_a_fresh_seed() {
    let seed = seed::fresh();
    println!("seed {seed}");
    converge(Site::in_memory, CASES, seed);
}

#[test]
fn replicas_converge_when_the_server_opens_its_files_again() {
    let seed = seed::fresh();
    println!("seed {seed}");
    converge(Site::on_disk, DISK_CASES, seed);
}

/// What holds for the model and not for the documents is a fault of the documents, and what holds
/// for neither may be one of the replicas.
#[test]
fn replicas_converge_on_the_model() {
    for seed in 0..CASES {
        let plan = Plan::draw(seed);
        if let Err(reason) = run(&plan, &mut Model::default()) {
            panic!("seed {seed}: {reason}");
        }
    }
}

#[test]
fn the_same_seed_gives_the_same_run() {
    let plan = Plan::draw(7);
    assert_eq!(plan, Plan::draw(7));
    let text = || {
        let (mut site, mut model) = (Site::in_memory(), Model::default());
        assert!(run(&plan, &mut site.hub()).is_ok());
        let mut world = World::new(&plan, &mut model);
        world.run(&plan).expect("it converges");
        world.text()
    };
    assert_eq!(text(), text());
}

/// A plan in which everything is lost on the way would converge too.
#[test]
fn plans_do_what_they_are_meant_to() {
    let (mut texts, mut blocks, mut passed) = (0, 0, 0);
    for seed in 0..100 {
        let plan = Plan::draw(seed);
        let mut model = Model::default();
        let mut world = World::new(&plan, &mut model);
        world.run(&plan).expect("it converges");
        texts += usize::from(world.text().len() > 20);
        blocks += world.blocks();
        passed += world.passed;
    }
    assert!(texts > 70, "{texts} of 100 cases end with a text");
    assert!(blocks > 5_000, "{blocks} blocks and deletions in 100 documents");
    assert!(passed > 8_000, "{passed} frames passed");
}

#[test]
fn plans_that_failed_once_hold() {
    let kept = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/plans");
    let kept = fs::read_dir(kept).into_iter().flatten().flatten().map(|entry| entry.path());
    for path in kept.chain(std::env::var_os("SHEAF_PLAN").map(PathBuf::from)) {
        let plan = fs::read(&path).expect("a plan that can be read");
        let plan: Plan = serde_json::from_slice(&plan).expect("a plan");
        if let Err(reason) = run(&plan, &mut Site::in_memory().hub()) {
            panic!("{}: {reason}", path.display());
        }
    }
}

#[test]
fn a_server_that_forgets_is_noticed() {
    /// Loses everything when it restarts, and one replica's edits always.
    struct Forgetful(Model);
    impl Hub for Forgetful {
        fn join(&mut self, session: u32) -> sheaf_tests::model::Said {
            self.0.join(session)
        }
        fn deliver(&mut self, session: u32, frame: &[u8]) -> sheaf_tests::model::Said {
            if frame.starts_with(&[0, 1]) || frame.starts_with(&[0, 2]) {
                return Vec::new();
            }
            self.0.deliver(session, frame)
        }
        fn leave(&mut self, session: u32) {
            self.0.leave(session);
        }
        fn restart(&mut self) {
            self.0 = Model::default();
        }
        fn encode(&mut self) -> Vec<u8> {
            self.0.encode()
        }
    }
    assert!(run(&Plan::draw(1), &mut Forgetful(Model::default())).is_err());
}

/// Runs `cases` plans, each on a new document.
fn converge(site: fn() -> Site, cases: u64, seed: u64) {
    let number = |name| std::env::var(name).ok().map(|text| text.parse().expect("a number"));
    let first: u64 = number("SHEAF_SEED").unwrap_or(seed);
    let cases = number("SHEAF_CASES").unwrap_or(cases);
    let mut documents = site();
    for case in 0..cases {
        let plan = Plan::draw(first.wrapping_add(case));
        if let Err(reason) = run(&plan, &mut documents.hub()) {
            let (plan, reason) = shorten(plan, site, reason);
            let path = save(&plan);
            panic!("seed {}: {reason}\nthe plan: {}", plan.seed, path.display());
        }
    }
}

/// Runs a plan; a panic on the way is a failure like any other.
fn run(plan: &Plan, hub: &mut dyn Hub) -> Result<(), String> {
    catch_unwind(AssertUnwindSafe(|| World::new(plan, hub).run(plan))).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
        Err(format!("panic: {}", text.unwrap_or_default()))
    })
}

/// Leaves out steps, ever fewer at a time, for as long as the plan still fails.
fn shorten(mut plan: Plan, site: fn() -> Site, mut reason: String) -> (Plan, String) {
    let (mut width, mut attempts) = (plan.steps.len() / 2, 0);
    while width > 0 && attempts < ATTEMPTS_MAX {
        let mut at = 0;
        while at < plan.steps.len() && attempts < ATTEMPTS_MAX {
            attempts += 1;
            let mut shorter = plan.clone();
            shorter.steps.drain(at..(at + width).min(plan.steps.len()));
            match run(&shorter, &mut site().hub()) {
                Err(why) => (plan, reason) = (shorter, why),
                Ok(()) => at += width,
            }
        }
        width /= 2;
    }
    (plan, reason)
}

fn save(plan: &Plan) -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("out");
    fs::create_dir_all(&folder).expect("a folder for plans");
    let path = folder.join(format!("plan-{}.json", plan.seed));
    fs::write(&path, serde_json::to_vec_pretty(plan).expect("a plan is JSON")).expect("written");
    path
}
