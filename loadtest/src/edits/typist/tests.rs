use super::super::text::Text;
use super::*;

#[test]
fn the_rate_that_is_asked_comes_in_bursts_and_pauses() {
    let mut typist = Typist::new(1, 10.0);
    let waits: Vec<u64> = (0..50_000).map(|_| typist.wait_us()).collect();
    let mean = waits.iter().sum::<u64>() as f64 / waits.len() as f64;
    assert!((95_000.0..105_000.0).contains(&mean), "{mean} µs");
    assert!(waits.iter().any(|wait| *wait > 1_000_000));
    let quick = waits.iter().filter(|wait| **wait < 90_000).count();
    assert!(quick > 40_000, "{quick} keys within bursts");
}

#[test]
fn a_typist_inserts_deletes_and_stays_within_bounds() {
    let (mut typist, mut text) = (Typist::new(2, 10.0), Text::new(1));
    let (mut deletions, mut updates) = (0, 0);
    for _ in 0..40_000 {
        let patches = typist.key(text.len());
        deletions += usize::from(patches.iter().any(|patch| patch.deleted > 0));
        updates += usize::from(text.apply(&patches, &mut Vec::new()).is_some());
        assert!(text.len() <= LETTERS_MAX + 200);
    }
    assert!((1_000..12_000).contains(&deletions), "{deletions} deletions");
    assert!(updates > 39_900, "{updates} updates");
}

#[test]
fn a_trace_is_typed_as_it_was() {
    let patch = |at, inserted: &str| Patch { at, deleted: 0, inserted: inserted.to_owned() };
    let txns = vec![vec![patch(0, "a")], vec![patch(1, "b"), patch(0, "c")]];
    let trace = Rc::new(Trace { txns: txns.clone(), end: "cab".to_owned() });
    let mut typist = Typist::of_trace(1, 1.0, trace);
    assert_eq!([typist.key(0), typist.key(1)], txns[..]);
    assert_eq!(typist.key(3).len(), 1);
}
