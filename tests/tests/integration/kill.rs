//! The kill loop: four writers type into two documents while the real process is killed with
//! SIGKILL at drawn moments and started again on the same port and data.
//!
//! After each start, a reader that is the first to connect must find: every edit that was
//! acknowledged (the echo of message 102 came back), every update that another replica had
//! received, and nothing that nobody wrote. Only then are the writers let in again; with them in,
//! their own copies would hide a loss.

mod ledger;
mod writer;

use std::path::Path;
use std::time::Duration;

use rand::RngExt;
use sheaf_client::replica::{Options, Replica};
use sheaf_tests::process::Process;
use sheaf_tests::proxy::Proxy;
use sheaf_tests::seed;

use self::writer::Writer;

/// SIGKILLs of one run.
const KILLS: usize = 40;
const WRITERS: u32 = 4;
/// How long a machine that is busy with other tests may take for anything.
const SOON: Duration = Duration::from_secs(20);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_delivered_or_acknowledged_is_lost_in_forty_kills() {
    let seed = seed::seeds(&[])[0];
    println!("seed {seed}");
    let data = tempfile::tempdir().expect("a folder for data");
    let counts = run(seed, KILLS, data.path(), |_| {}).await.expect("nothing is lost");
    let Counts { written, acknowledged, delivered } = counts;
    println!(
        "{KILLS} kills: {written} written, {acknowledged} acknowledged, {delivered} delivered"
    );
    assert!(delivered > KILLS && acknowledged > KILLS, "too quiet a run to prove a thing");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_loses_its_data_is_noticed() {
    let data = tempfile::tempdir().expect("a folder for data");
    let data = data.path().join("sheaf");
    let forget = |data: &Path| std::fs::remove_dir_all(data).expect("it had data");
    let outcome = run(1, 4, &data, forget);
    let loss = outcome.await.expect_err("a loss that is not noticed");
    assert!(loss.contains("lost"), "{loss}");
}

/// What a run did.
#[derive(Debug)]
struct Counts {
    written: usize,
    acknowledged: usize,
    delivered: usize,
}

/// Runs the loop; `harm` gets at the data while the server is dead.
async fn run(seed: u64, kills: usize, data: &Path, harm: impl Fn(&Path)) -> Result<Counts, String> {
    let mut draw = seed::generator(seed);
    let mut process = Process::start(data).expect("sheaf starts");
    let proxy = Proxy::start(process.address(), seed).await.expect("a proxy");
    let mut writers: Vec<Writer> =
        (0..WRITERS).map(|number| Writer::start(number, &proxy.url(), seed)).collect();
    let mut reader_id = 10_000;
    for kill in 1..=kills {
        // One kill in eight comes when hardly anybody is back yet, and one start in four is killed.
        let moment_ms = if draw.random_ratio(1, 8) { 0..=30 } else { 50..=400 };
        seed::moment(&mut draw, moment_ms).await;
        process.kill();
        proxy.shut();
        for writer in &writers {
            writer.cut_off(SOON).await;
        }
        harm(data);
        if draw.random_ratio(1, 4) {
            process.launch().expect("sheaf starts again");
            seed::moment(&mut draw, 0..=40).await;
            process.kill();
        }
        process.restart().expect("sheaf starts again");
        for document in 0..WRITERS / 2 {
            reader_id += 1;
            let reader = read(&process, document, reader_id).await;
            let here = writers.iter_mut().filter(|writer| writer.document() == document);
            let mut here: Vec<&mut Writer> = here.collect();
            ledger::check(&reader, &mut here).map_err(|loss| {
                format!("kill {kill}, document {document}: {loss}\n{}", process.said())
            })?;
        }
        proxy.open();
    }
    finish(&process, &mut writers).await
}

/// A reader that joins before anybody else.
async fn read(process: &Process, document: u32, client_id: u32) -> Replica {
    let options = Options { client_id, ..Options::new(process.url(), writer::room(document)) };
    let reader = Replica::connect(options);
    reader.synced(SOON).await.expect("the reader gets the document");
    reader
}

/// Everybody stops writing; what they hold must be the same and complete.
async fn finish(process: &Process, writers: &mut [Writer]) -> Result<Counts, String> {
    for writer in writers.iter_mut() {
        writer.stop(SOON).await;
    }
    for document in 0..WRITERS / 2 {
        let reader = read(process, document, 20_000 + document).await;
        let here = writers.iter_mut().filter(|writer| writer.document() == document);
        let mut here: Vec<&mut Writer> = here.collect();
        for writer in &here {
            let replica = writer.replica();
            let is_equal = |replica: &Replica| replica.state_vector() == reader.state_vector();
            replica.wait(is_equal, SOON).await.map_err(|reason| format!("no end: {reason}"))?;
            if replica.text() != reader.text() {
                return Err(format!("document {document}: two replicas read different texts"));
            }
        }
        ledger::check(&reader, &mut here)?;
        ledger::check_complete(&reader, &here)?;
    }
    let sum = |count: fn(&ledger::Ledger) -> usize| -> usize {
        writers.iter().map(|writer| count(&writer.ledger())).sum()
    };
    Ok(Counts {
        written: sum(|ledger| ledger.written as usize),
        acknowledged: sum(|ledger| ledger.acknowledged_live as usize),
        delivered: sum(|ledger| ledger.delivered_count),
    })
}
