use tokio::task::JoinSet;

use super::*;
use crate::floor::Faults;
use crate::floor::tests::{start, test};

#[test]
fn a_connection_that_has_ended_is_not_alive() {
    test(async {
        let mut tasks = JoinSet::new();
        let target = start(&mut tasks, Faults::default());
        let mut bots = Vec::new();
        for room in ["a", "b"] {
            bots.push(bot::connect(&target, room).await.unwrap());
        }
        assert_eq!(alive(&mut bots).await, 2);
        tasks.abort_all();
        while tasks.join_next().await.is_some() {}
        assert_eq!(alive(&mut bots).await, 0);
    });
}

#[test]
fn many_come_from_several_addresses_a_few_from_the_usual_one() {
    let of = |addresses, number| {
        let crowd = Crowd { connections: 9, documents: 9, addresses, at_once: 1 };
        crowd.source(number)
    };
    assert_eq!([of(1, 0), of(1, 8)], [None; 2]);
    assert_eq!(of(4, 0), Some(Ipv4Addr::new(127, 0, 0, 1)));
    assert_eq!(of(4, 7), Some(Ipv4Addr::new(127, 0, 0, 4)));
}
