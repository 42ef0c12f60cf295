//! The outbox stays bounded and never lets an edit overtake an older one.

use super::*;

fn opened() -> Outbox {
    Outbox { is_open: true, ..Outbox::default() }
}

#[test]
fn edits_before_the_servers_question_are_left_to_its_answer() {
    let mut outbox = Outbox::default();
    outbox.start();
    outbox.push_edit(vec![1]);
    assert!(outbox.take_edits().is_empty());
}

#[test]
fn edits_leave_in_the_order_they_were_made() {
    let mut outbox = opened();
    outbox.push_edit(vec![1]);
    outbox.push_edit(vec![2]);
    assert_eq!(outbox.take_edits(), [vec![1], vec![2]]);
    assert!(outbox.take_edits().is_empty());
}

#[test]
fn too_many_waiting_edits_become_one_difference() {
    let mut outbox = opened();
    for _ in 0..10 {
        outbox.push_edit(vec![0; EDIT_BYTES_MAX / 4]);
    }
    assert!(outbox.difference);
    assert!(outbox.take_edits().is_empty());
}

#[test]
fn a_wanted_echo_survives_a_new_connection() {
    let mut outbox = opened();
    outbox.echo = Some(7);
    outbox.start();
    assert_eq!(outbox.echo, Some(7));
    assert!(!outbox.is_open);
}
