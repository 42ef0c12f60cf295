//! Replicas on a network that delays, drips, stalls and cuts: they come to hold the same, and what
//! was said to be durable is there.

use std::time::Duration;

use rand::RngExt;
use serde_json::json;
use sheaf_client::backoff::Backoff;
use sheaf_client::replica::{Options, Replica, Status};
use sheaf_tests::proxy::{Faults, Proxy};
use sheaf_tests::seed;
use sheaf_tests::server::Server;

const SOON: Duration = Duration::from_secs(20);
const REPLICAS: u32 = 6;

fn options(url: &str, client_id: u32) -> Options {
    let backoff = Backoff { first: Duration::from_millis(5), cap: Duration::from_millis(100) };
    Options { client_id, backoff, ..Options::new(url, "a bad network") }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replicas_converge_on_a_network_that_delays_and_cuts() {
    let seed = seed::seeds(&[])[0];
    println!("seed {seed}");
    let mut draw = seed::generator(seed);
    let server = Server::start().await;
    let proxy = Proxy::start(server.address(), seed).await.expect("a proxy");
    let replicas: Vec<Replica> =
        (1..=REPLICAS).map(|id| Replica::connect(options(&proxy.url(), id))).collect();
    proxy.set_faults(Faults {
        delay_ms_max: 20,
        drip_one_in: 20,
        stall_one_in: 50,
        stall_ms: 50,
        cut_one_in: 40,
    });
    for _ in 0..300 {
        let replica = &replicas[draw.random_range(0..replicas.len())];
        let at = draw.random_range(0..=replica.text_len());
        // Inside a character it is refused, which is as good as any edit.
        let _ = match draw.random_range(0..4) {
            0 => replica.delete(at.saturating_sub(1), u32::from(at > 0)),
            1 => replica.insert(at, "😀"),
            _ => replica.insert(at, "word "),
        };
        seed::moment(&mut draw, 0..=8).await;
    }
    let occurred = proxy.occurred();
    assert!(occurred.cuts > 0 && occurred.drips > 0 && occurred.stalls > 0, "{occurred:?}");
    proxy.set_faults(Faults::default());
    for replica in &replicas {
        replica.durable(SOON).await.expect("everything becomes durable");
    }
    let fresh = Replica::connect(options(&server.url(), 1_000));
    fresh.synced(SOON).await.expect("a fresh client joins");
    for replica in &replicas {
        let is_equal = |replica: &Replica| replica.state_vector() == fresh.state_vector();
        replica.wait(is_equal, SOON).await.expect("they come to hold the same");
        assert_eq!(replica.text(), fresh.text());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restart_in_good_order_is_a_pause_and_no_more() {
    let server = Server::start().await;
    let proxy = Proxy::start(server.address(), 1).await.expect("a proxy");
    let one = Replica::connect(options(&proxy.url(), 1));
    let two = Replica::connect(options(&proxy.url(), 2));
    one.insert(0, "before ").expect("it fits");
    two.wait(|two| two.text() == "before ", SOON).await.expect("it arrives");
    let server = server.restart().await;
    proxy.set_target(server.address());
    one.insert(7, "after").expect("it fits");
    two.wait(|two| two.text() == "before after", SOON).await.expect("it arrives");
    // A server that closed with 44xx would have stopped them for good.
    assert!(!matches!(*one.status().borrow(), Status::Stopped(_)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn presence_survives_cuts_and_ends_with_the_connection() {
    let server = Server::start().await;
    let proxy = Proxy::start(server.address(), 1).await.expect("a proxy");
    let named = |url: &str, id: u32| Options {
        presence: Some(json!({ "name": format!("user {id}") })),
        ..options(url, id)
    };
    let watcher = Replica::connect(named(&server.url(), 1));
    let other = Replica::connect(named(&proxy.url(), 2));
    let is_here = |watcher: &Replica| watcher.presence().contains_key(&2);
    for _ in 0..3 {
        watcher.wait(is_here, SOON).await.expect("it is seen");
        other.wait(|other| other.presence().contains_key(&1), SOON).await.expect("it sees");
        proxy.shut();
        watcher.wait(|watcher| !is_here(watcher), SOON).await.expect("it is seen to leave");
        proxy.open();
    }
}
