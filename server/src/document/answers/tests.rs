//! Answers are those of the state, encoded once, and given back when nobody asks.

use super::*;
use crate::document::state::tests::typed;

fn written() -> State {
    let mut state = State::new();
    for id in [7, 8] {
        for update in typed(id, &["one ", "two"]) {
            state.replay(&update).expect("merges");
        }
    }
    state
}

fn vector(entries: &[(u64, u32)]) -> Vec<u8> {
    let mut bytes = vec![entries.len() as u8];
    for (client, clock) in entries {
        bytes.extend([*client as u8, *clock as u8]);
    }
    bytes
}

#[test]
fn a_crowd_is_sent_the_same_bytes() {
    let mut state = written();
    let mut answers = Answers::default();
    let nothing = scan::state_vector(&[0]).expect("scans");
    assert_eq!(answers.kept(&state, &nothing), None, "nobody has asked yet");
    let first = answers.diff(&mut state, &nothing);
    let second = answers.diff(&mut state, &nothing);
    assert_eq!(first.as_ptr(), second.as_ptr(), "encoded once");

    let all = vector(&[(7, 7), (8, 9)]);
    let all = scan::state_vector(&all).expect("scans");
    let rest = answers.diff(&mut state, &all);
    assert_eq!(answers.kept(&state, &all).expect("kept").as_ptr(), rest.as_ptr());
    assert_eq!(*rest, [0, 0], "no blocks and no deletions");
}

#[test]
fn an_answer_for_everything_is_for_nobody_who_lacks_a_block() {
    let mut state = written();
    let mut answers = Answers::default();
    let all = vector(&[(8, 7), (7, 7)]);
    answers.diff(&mut state, &scan::state_vector(&all).expect("scans"));
    for lacking in [
        vector(&[(7, 6), (8, 7)]),
        vector(&[(7, 7)]),
        vector(&[(7, 7), (9, 7)]),
        // The same client twice, as many entries as there are clients.
        vector(&[(7, 7), (7, 7)]),
    ] {
        let known = scan::state_vector(&lacking).expect("scans");
        assert_eq!(answers.kept(&state, &known), None, "{lacking:?}");
        assert!(answers.diff(&mut state, &known).len() > 2, "{lacking:?}");
    }
}

#[test]
fn the_vector_is_that_of_the_state() {
    let state = written();
    let mut answers = Answers::default();
    let told = answers.vector(&state);
    let known = scan::state_vector(&told).expect("scans");
    assert!(has_all(&state, &known));
}

#[test]
fn what_nobody_asks_for_is_given_back() {
    let mut state = written();
    let mut answers = Answers::default();
    answers.whole(&mut state);
    for _ in 0..LOOKS_KEPT {
        assert!(!answers.is_stale());
    }
    assert!(answers.is_stale());
    answers.vector(&state);
    assert!(!answers.is_stale(), "somebody has asked again");
}

#[test]
fn a_blank_document_answers_what_would_be_encoded() {
    let mut state = State::new();
    assert_eq!(state.encode(), BLANK_STATE);
    assert_eq!(state.state_vector(), BLANK_VECTOR);
    let known = vector(&[(7, 6)]);
    assert_eq!(state.diff(&scan::state_vector(&known).expect("scans")), BLANK_STATE);
}
