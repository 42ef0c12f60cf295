use super::*;
use crate::scan::update;

fn joined(parts: &[&[u8]]) -> Option<Vec<u8>> {
    let scanned: Vec<_> = parts.iter().map(|bytes| update(bytes).expect("scans")).collect();
    let joined = join(&scanned.iter().collect::<Vec<_>>())?;
    assert!(update(&joined).is_ok(), "it scans as a frame does");
    Some(joined)
}

/// Client 5 writes into the root `t`.
const A: [u8; 11] = [1, 1, 5, 0, 4, 1, 1, b't', 1, b'a', 0];
/// Goes on behind it.
const B: [u8; 10] = [1, 1, 5, 1, 0x84, 5, 0, 1, b'b', 0];
/// And behind that.
const C: [u8; 10] = [1, 1, 5, 2, 0x84, 5, 1, 1, b'c', 0];

#[test]
fn what_is_typed_becomes_one_block() {
    let expected = [1, 1, 5, 0, 4, 1, 1, b't', 3, b'a', b'b', b'c', 0];
    assert_eq!(joined(&[&A, &B, &C]), Some(expected.to_vec()));
    let expected = [1, 1, 5, 1, 0x84, 5, 0, 2, b'b', b'c', 0];
    assert_eq!(joined(&[&B, &C]), Some(expected.to_vec()));
}

#[test]
fn what_is_written_elsewhere_keeps_its_block() {
    let before = [1, 1, 5, 1, 0x44, 5, 0, 1, b'b', 0];
    let expected = [1, 2, 5, 0, 4, 1, 1, b't', 1, b'a', 0x44, 5, 0, 1, b'b', 0];
    assert_eq!(joined(&[&A, &before]), Some(expected.to_vec()));
}

#[test]
fn each_client_has_one_section_and_one_list_of_deletes() {
    let other = [1, 1, 9, 0, 0x84, 5, 0, 1, b'x', 1, 5, 1, 0, 1];
    let deletes = [0, 2, 9, 1, 0, 1, 5, 1, 1, 1];
    let expected = [
        &[2][..],
        &[1, 9, 0, 0x84, 5, 0, 1, b'x'],
        &[2, 5, 0, 4, 1, 1, b't', 1, b'a', 0x84, 5, 0, 1, b'b'],
        &[2, 9, 1, 0, 1, 5, 1, 0, 2],
    ];
    assert_eq!(joined(&[&A, &other, &B, &deletes]), Some(expected.concat()));
}

#[test]
fn deletes_are_in_the_order_of_their_clocks_and_those_that_meet_are_one() {
    let delete = |clock, len| [0, 1, 5, 1, clock, len];
    let backspaces: Vec<_> = [9, 8, 7, 6, 3, 1].map(|clock| delete(clock, 1)).into();
    let expected = [0, 1, 5, 3, 1, 1, 3, 1, 6, 4];
    let parts: Vec<&[u8]> = backspaces.iter().map(|part| &part[..]).collect();
    assert_eq!(joined(&parts), Some(expected.to_vec()));
    let expected = [0, 1, 5, 1, 2, 6];
    assert_eq!(joined(&[&delete(2, 6), &delete(3, 2), &delete(7, 1)]), Some(expected.to_vec()));
    let other = [0, 1, 4, 1, 8, 1];
    let expected = [0, 2, 5, 1, 7, 1, 4, 1, 8, 1];
    assert_eq!(joined(&[&delete(7, 1), &other]), Some(expected.to_vec()));
}

#[test]
fn holes_are_not_joined_over() {
    assert_eq!(joined(&[&A, &C]), None);
    assert_eq!(joined(&[&B, &A]), None);
    assert_eq!(joined(&[&A, &A]), None);
}

#[test]
fn one_update_and_what_has_bounds_of_its_own_stay_as_they_are() {
    assert_eq!(joined(&[]), None);
    assert_eq!(joined(&[&A]), None);
    let kind = [1, 1, 9, 0, 7, 1, 1, b't', 2, 0];
    let skip = [1, 1, 9, 0, 10, 4, 0];
    let json = [1, 1, 9, 0, 2, 1, 1, b't', 1, 1, b'1', 0];
    for other in [&kind[..], &skip, &json] {
        assert_eq!(joined(&[&A, other]), None, "{other:?}");
    }
}

#[test]
fn an_update_of_many_clients_stays_as_it_is() {
    // Looking for each of its sections among those of the others would take the square of them.
    let two = [2, 1, 9, 0, 4, 1, 1, b't', 1, b'x', 1, 7, 0, 4, 1, 1, b't', 1, b'y', 0];
    assert_eq!(joined(&[&A, &two]), None);
}
