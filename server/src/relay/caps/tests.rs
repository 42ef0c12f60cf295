//! Caps as sums: who gets a place, and that every place comes back.

use super::*;

fn caps(connections_max: usize, per_network_max: usize) -> Arc<Caps> {
    Caps::new(connections_max, per_network_max, Arc::new(Metrics::new()))
}

fn ip(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

#[test]
fn one_address_may_not_take_all_places() {
    let caps = caps(10, 2);
    let admit = |address: &str| caps.admit(Some(ip(address)));
    let held = [admit("192.0.2.1"), admit("192.0.2.1")];
    assert!(held.iter().all(Option::is_some));
    assert!(admit("192.0.2.1").is_none());
    assert!(admit("::ffff:192.0.2.1").is_none(), "the same address in other clothes");
    assert!(admit("192.0.2.2").is_some());
    let held_6 = [admit("2001:db8::1"), admit("2001:db8::2")];
    assert!(held_6.iter().all(Option::is_some));
    assert!(admit("2001:db8::3").is_none(), "one /64 is one address");
    let loopback: Vec<_> = (0..5).map(|_| admit("127.0.0.1")).collect();
    assert!(loopback.iter().flatten().all(|permit| !permit.is_overflow));
    drop((held, held_6, loopback));
    assert!(caps.open.lock().by_network.is_empty());
    assert_eq!(caps.open.lock().all, 0);
}

#[test]
fn beyond_the_cap_some_connections_may_ask_for_the_health_of_the_server() {
    let caps = caps(1, 1_000);
    let admit = || caps.admit(Some(ip("127.0.0.1")));
    let held: Vec<_> = (0..=OVERFLOW_MAX).map_while(|_| admit()).collect();
    assert_eq!(held.len(), 1 + OVERFLOW_MAX);
    assert!(!held[0].is_overflow && held[1].is_overflow);
    assert!(admit().is_none());
    drop(held);
    assert!(admit().is_some_and(|permit| !permit.is_overflow));
}

#[test]
fn a_proxys_connections_are_counted_for_its_clients() {
    let caps = caps(100, 2);
    let mut by_header: Vec<_> = (0..3).map(|_| caps.admit(None).expect("a place")).collect();
    let counted = by_header.iter_mut().map(|permit| permit.belongs_to(ip("192.0.2.1")));
    assert_eq!(counted.collect::<Vec<_>>(), [true, true, false]);

    let shared = Arc::new(caps.admit(None).expect("a place"));
    let one = shared.for_client(ip("192.0.2.2")).expect("its first");
    let two = shared.for_client(ip("192.0.2.2")).expect("its second");
    assert!(shared.for_client(ip("192.0.2.2")).is_none());
    assert!(shared.for_client(ip("192.0.2.1")).is_none(), "counted by header already");
    assert!(shared.for_client(ip("127.0.0.1")).is_some(), "loopback is not counted");
    assert_eq!(caps.open.lock().all, 4, "a shared connection is one");
    drop((by_header, shared, two));
    assert_eq!(caps.open.lock().all, 1, "a client's place keeps the connection's");
    drop(one);
    assert!(caps.open.lock().by_network.is_empty());
    assert_eq!(caps.open.lock().all, 0);
}
