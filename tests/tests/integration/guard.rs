//! The guard: nothing that could harm a document gets to it, and what gets there does no harm.

#[path = "../../fuzz/src/bodies.rs"]
mod bodies;
mod drive;
mod seeds;
mod shapes;

use std::alloc::System;
use std::any::Any;
use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::process::Command;

use rand::RngExt;
use sheaf_protocol::frame::messages;
use sheaf_protocol::hocuspocus;
use sheaf_protocol::plan::Source;
use sheaf_protocol::scan;
use sheaf_server::document::state::State;
use sheaf_tests::seed;
use sheaf_tests::wire::{HocuspocusVector, Hostile, bytes, hex, load};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

use drive::{Outcome, drive};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Mutated updates of one run.
const MUTATIONS: u32 = 210_000;

/// What tokio gives its workers, on which documents are merged.
const STACK_BYTES: usize = 2 * 1024 * 1024;

/// Set in the process that a test starts to run alone: the allocator counts for all threads.
const ALONE: &str = "SHEAF_TEST_ALONE";

/// Runs `body` in a process of its own, which `cargo test` finds under the name `test`. Gives what
/// it printed.
fn alone(test: &str, body: fn()) -> String {
    if std::env::var_os(ALONE).is_some() {
        let thread = std::thread::Builder::new().stack_size(STACK_BYTES).spawn(body);
        thread.expect("a thread").join().expect("the body passes");
        return String::new();
    }
    let binary = std::env::current_exe().expect("this test's own binary");
    let arguments = ["--exact", test, "--nocapture", "--test-threads=1"];
    let output = Command::new(binary).args(arguments).env(ALONE, "1").output();
    let output = output.expect("the same binary starts again");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.success() && said.contains("1 passed"),
        "{}: {said}{}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    said
}

#[test]
fn hostile_bytes_are_refused_or_harmless() {
    for vector in load::<Hostile>("hostile.json") {
        for (place, bytes) in vector.messages().iter().enumerate() {
            let refused = match vector.kind.as_str() {
                "update" => scan::update(bytes).err(),
                "state_vector" => scan::state_vector(bytes).err(),
                "awareness" => scan::awareness(bytes).err(),
                "frame" => messages(bytes).find_map(Result::err),
                other => panic!("no such kind: {other}"),
            };
            let code = refused.map(|refusal| refusal.code);
            assert_eq!(code, vector.scan_of(place), "{} ({place})", vector.name);
        }
    }
}

#[test]
fn a_document_outlives_every_hostile_update() {
    for vector in load::<Hostile>("hostile.json").iter().filter(|vector| vector.kind == "update") {
        let mut state = State::new();
        // The quadratic ones stay quadratic: a hundredth of them shows that they are harmless.
        let messages = vector.messages();
        for bytes in messages.iter().take(200) {
            let Ok(update) = scan::update(bytes) else { continue };
            if let Ok(Some(plan)) = state.plan(&update, Source::Update) {
                state.integrate(plan).unwrap_or_else(|error| panic!("{}: {error}", vector.name));
            }
        }
        drive::check_survives(&mut state);
        for (root, expected) in
            vector.roots.keys().filter_map(|root| Some((root, state.text(root)?)))
        {
            if vector.roots[root] == "text" {
                assert_eq!(vector.content[root], expected, "{}", vector.name);
            }
        }
    }
}

#[test]
fn what_the_scan_accepts_a_document_survives() {
    let said = alone("guard::what_the_scan_accepts_a_document_survives", || {
        let seeds = seeds::seeds();
        assert!(seeds.len() >= 60, "{} seeds", seeds.len());
        // What fails is told at the end, shortest first.
        std::panic::set_hook(Box::new(|_| {}));
        let [fixed, fresh] = [1, seed::fresh()].map(|seed| run(&seeds, seed, MUTATIONS / 2));
        let _ = std::panic::take_hook();
        println!("{}\n{}", fixed.0, fresh.0);
        let mut failures = [fixed.1, fresh.1].concat();
        failures.sort_by_key(String::len);
        assert!(
            failures.is_empty(),
            "{} fail: {:#?}",
            failures.len(),
            &failures[..failures.len().min(9)]
        );
    });
    println!("{said}");
}

/// Bytes that a document may allocate in all, freed ones included, to merge, encode, restart and
/// encode again, for each byte it is given; and on top of that.
const TOTAL_PER_BYTE: usize = 64;
const TOTAL_BYTES: usize = 1024 * 1024;

/// Drives mutations of one seed; gives a summary, and what failed.
fn run(seeds: &[Vec<u8>], seed: u64, mutations: u32) -> (String, Vec<String>) {
    let mut draw = seed::generator(seed);
    let whole: Vec<bool> = seeds.iter().map(|seed| State::new().replay(seed).is_ok()).collect();
    let (mut tally, mut failures, mut most) = (HashMap::new(), Vec::new(), 0);
    for _ in 0..mutations {
        let place = draw.random_range(0..seeds.len());
        let bytes = seeds::mutate(seeds, place, &mut draw);
        check_scan_allocates_nothing(&bytes);
        // The whole state of the same session, so that clocks overlap.
        let held = (place..seeds.len()).find(|at| whole[*at]).map(|at| &seeds[at][..]);
        for held in [None, held] {
            let before = Region::new(ALLOCATOR);
            match catch_unwind(AssertUnwindSafe(|| drive(&bytes, held, Source::Step2))) {
                Ok(outcome) => {
                    *tally.entry(outcome).or_insert(0) += 1;
                    let input = bytes.len() + held.map_or(0, <[u8]>::len);
                    let total = before.change().bytes_allocated;
                    assert!(total <= TOTAL_PER_BYTE * input + TOTAL_BYTES, "{total} bytes");
                    most = most.max(total / input.max(1));
                }
                Err(panic) => failures.push(format!(
                    "{}: {} on {:?}, seed {seed}",
                    message(&*panic),
                    hex(&bytes),
                    held.map(hex)
                )),
            }
        }
    }
    assert!(tally[&Outcome::Merged] > mutations / 10, "too few get through to prove anything");
    (format!("seed {seed}: {tally:?}, at most {most} bytes allocated a byte"), failures)
}

fn check_scan_allocates_nothing(bytes: &[u8]) {
    let before = Region::new(ALLOCATOR);
    let is_accepted = scan::update(bytes).is_ok();
    let change = before.change();
    assert_eq!(change.allocations + change.reallocations, 0, "{is_accepted} {}", hex(bytes));
}

fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().cloned();
    text.or(panic.downcast_ref::<&str>().map(|text| (*text).to_owned())).unwrap_or_default()
}

/// Bytes of memory that a merged update may hold for each of its own. Measured: 75 for maps of one
/// entry, 70 for nested types, 47 for deleted blocks, 24 for nulls, 4 for text.
const LIVE_PER_BYTE: usize = 96;

/// On top of that: the empty document, and the most subdocuments that fit one frame.
const LIVE_BYTES: usize = 16 * 1024 * 1024;

#[test]
fn memory_stays_within_a_multiple_of_the_input() {
    let said = alone("guard::memory_stays_within_a_multiple_of_the_input", || {
        for (name, bytes) in shapes::shapes() {
            let before = Region::new(ALLOCATOR);
            let update = scan::update(&bytes).expect(name);
            assert_eq!(before.change().allocations, 0, "the scan of {name}");
            let mut state = State::new();
            let plan = state.plan(&update, Source::Update).expect(name).expect(name);
            state.integrate(plan).expect(name);
            let encoded = state.encode();
            let change = before.change();
            let live = change.bytes_allocated - change.bytes_deallocated;
            println!("{name}: {} bytes, {:.1} each", bytes.len(), live as f64 / bytes.len() as f64);
            assert!(live <= LIVE_PER_BYTE * bytes.len() + LIVE_BYTES, "{name}: {live} bytes live");
            assert!(scan::update(&encoded).is_ok(), "{name} as we send it");
        }
    });
    println!("{said}");
}

#[test]
fn reading_a_frame_allocates_nothing() {
    alone("guard::reading_a_frame_allocates_nothing", || {
        for vector in load::<HocuspocusVector>("hocuspocus.json") {
            let bytes = bytes(&vector.hex);
            let before = Region::new(ALLOCATOR);
            let is_read = hocuspocus::frame(&bytes).is_ok() | hocuspocus::answer(&bytes).is_ok();
            let count = messages(&bytes).count();
            let change = before.change();
            let made = change.allocations + change.reallocations;
            assert_eq!(made, 0, "{} {is_read} {count}", vector.name);
        }
    });
}

#[test]
fn the_fuzzers_corpus_breaks_nothing() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus");
    let document: bodies::Target = ("document", |bytes| {
        drive(bytes, None, Source::Step2);
    });
    for (target, body) in bodies::TARGETS.into_iter().chain([document]) {
        let inputs = std::fs::read_dir(folder.join(target)).expect("a corpus for each target");
        let mut count = 0;
        for input in inputs {
            let path = input.expect("a readable folder").path();
            println!("{}", path.display());
            body(&std::fs::read(&path).expect("a readable input"));
            count += 1;
        }
        assert!(count >= 3, "{target} has {count} inputs");
    }
}
