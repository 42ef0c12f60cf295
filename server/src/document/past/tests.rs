//! What is of the past, and what only looks like it.

use super::*;
use crate::document::state::tests::typed;
use sheaf_protocol::stamp::Stamp;

fn doc(number: u64) -> DocId {
    DocId(Stamp::new(number, 0, 7))
}

fn past(epochs: &[(u64, &[u64])]) -> Past {
    let retired = epochs
        .iter()
        .map(|(number, clients)| Retired { doc: doc(*number), clients: clients.to_vec() });
    Past::new(retired.collect())
}

#[test]
fn a_history_is_known_by_any_of_its_client_ids() {
    let past = past(&[(1, &[9, 5, 7])]);
    let own = Clocks::default();
    for client in [5, 7, 9] {
        assert_eq!(past.find(&[1, client], &own), Some(doc(1)));
        assert!(past.has(client));
    }
    assert_eq!(past.find(&[1, 6], &own), None);
    assert_eq!(past.find(&[], &own), None);
}

#[test]
fn the_newest_of_several_epochs_counts() {
    let past = past(&[(1, &[5]), (2, &[5, 6]), (3, &[7])]);
    let own = Clocks::default();
    assert_eq!(past.find(&[5], &own), Some(doc(2)));
    assert_eq!(past.find(&[5, 7], &own), Some(doc(3)));
}

#[test]
fn a_document_made_from_the_old_history_goes_on_with_it() {
    let past = past(&[(1, &[5, 6]), (2, &[8])]);
    let own: Clocks = [(6, 3)].into_iter().collect();
    assert_eq!(past.find(&[5], &own), None);
    assert_eq!(past.find(&[5, 8], &own), Some(doc(2)));
}

#[test]
fn two_devices_that_share_no_ids_are_not_of_the_past() {
    let past = past(&[(1, &[5])]);
    let own: Clocks = [(6, 3)].into_iter().collect();
    let update = typed(7, &["made offline"]).remove(0);
    let update = scan::update(&update).expect("an update");
    assert_eq!(past.of_update(&update, &own), None);
    assert!(Past::default().is_empty() && !past.is_empty());
}

#[test]
fn a_state_vector_tells_by_what_it_holds() {
    let past = past(&[(1, &[5])]);
    let own = Clocks::default();
    for (bytes, due) in [(&[1, 5, 3][..], Some(doc(1))), (&[1, 5, 0], None), (&[1, 6, 3], None)] {
        let known = scan::state_vector(bytes).expect("a state vector");
        assert_eq!(past.of_vector(&known, &own), due, "{bytes:?}");
    }
}
