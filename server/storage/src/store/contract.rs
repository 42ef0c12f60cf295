//! What every engine must do, as a suite that any engine can be put through. Run by the tests of
//! `memory` and `sled`, and by those of an engine to come.
//! Never looks inside an engine: only `Engine`'s five operations are used.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::engine::{Batch, Engine, Pair};

/// How the suite gets engines.
pub trait Setup {
    /// An empty engine.
    fn fresh(&mut self) -> Arc<dyn Engine>;
    /// The engine after a crash and a restart: everything synced is there, and of what was applied
    /// later some whole batches, oldest first.
    fn crashed(&mut self, engine: Arc<dyn Engine>) -> Arc<dyn Engine>;
}

/// Runs the whole suite.
///
/// # Panics
/// On the first sentence of the contract that does not hold.
pub fn run_contract(setup: &mut impl Setup) {
    a_value_is_what_was_put_last(&*setup.fresh());
    a_batch_applies_in_order(&*setup.fresh());
    a_scan_is_ordered_and_bounded(&*setup.fresh());
    a_scan_stays_within_its_prefix(&*setup.fresh());
    a_scan_goes_back_as_it_goes_on(&*setup.fresh());
    a_reader_sees_all_of_a_batch_or_nothing(&setup.fresh());
    what_was_synced_survives_a_crash(setup);
    a_crash_keeps_whole_batches(setup);
    it_does_what_a_sorted_map_does(setup);
}

fn get(engine: &dyn Engine, key: &[u8]) -> Option<Vec<u8>> {
    engine.get(key).expect("get does not fail on a healthy disk")
}

fn scan(engine: &dyn Engine, prefix: &[u8], from: Option<&[u8]>, limit: usize) -> Vec<Pair> {
    engine.scan(prefix, from, limit).expect("scan does not fail on a healthy disk")
}

fn apply(engine: &dyn Engine, changes: &[(&[u8], Option<&[u8]>)]) {
    let mut batch = Batch::default();
    for (key, value) in changes {
        match value {
            Some(value) => batch.put(*key, *value),
            None => batch.delete(*key),
        }
    }
    engine.apply(&batch).expect("apply does not fail on a healthy disk");
}

fn sync(engine: &dyn Engine) {
    engine.sync().expect("sync does not fail on a healthy disk");
}

fn a_value_is_what_was_put_last(engine: &dyn Engine) {
    assert_eq!(get(engine, b"a"), None, "a new engine is empty");
    apply(engine, &[(b"a", Some(b"1"))]);
    apply(engine, &[(b"a", Some(b"")), (b"b", Some(&[0xff; 9_000]))]);
    assert_eq!(get(engine, b"a"), Some(Vec::new()), "an empty value is a value");
    assert_eq!(get(engine, b"b"), Some(vec![0xff; 9_000]));
    apply(engine, &[(b"a", None), (b"never there", None)]);
    assert_eq!(get(engine, b"a"), None, "a deleted key is gone");
    engine.apply(&Batch::default()).expect("an empty batch is applied");
}

fn a_batch_applies_in_order(engine: &dyn Engine) {
    apply(engine, &[(b"k", Some(b"1")), (b"k", None), (b"k", Some(b"2"))]);
    assert_eq!(get(engine, b"k"), Some(b"2".to_vec()), "the last change of a key wins");
    apply(engine, &[(b"k", Some(b"3")), (b"k", None)]);
    assert_eq!(get(engine, b"k"), None, "the last change of a key wins");
}

fn a_scan_is_ordered_and_bounded(engine: &dyn Engine) {
    for number in (0..600u16).rev() {
        apply(engine, &[(&number.to_be_bytes(), Some(&number.to_le_bytes()))]);
    }
    let all = scan(engine, &[], None, usize::MAX);
    let keys: Vec<u16> = all.iter().map(|(key, _)| u16::from_be_bytes([key[0], key[1]])).collect();
    assert_eq!(keys, (0..600).collect::<Vec<u16>>(), "keys come in byte order, all of them");
    assert_eq!(scan(engine, &[], None, 7).len(), 7, "no more than asked");
    assert_eq!(scan(engine, &[], None, 0).len(), 0, "no more than asked");
    let after = scan(engine, &[], Some(&300u16.to_be_bytes()), 2);
    assert_eq!(after[0].0, 301u16.to_be_bytes(), "strictly after `from`");
    let gone = scan(engine, &[], Some(&[2, 0x57, 0]), 1);
    assert!(gone.is_empty(), "after the last key there is nothing");
}

fn a_scan_stays_within_its_prefix(engine: &dyn Engine) {
    let keys: [&[u8]; 7] = [b"a", b"b", b"b\0", b"b\xff", b"b\xff\xff", b"c", b"\xff\xff"];
    for key in keys {
        apply(engine, &[(key, Some(key))]);
    }
    let found = |prefix: &[u8], from: Option<&[u8]>| -> Vec<Vec<u8>> {
        scan(engine, prefix, from, usize::MAX).into_iter().map(|(key, _)| key).collect()
    };
    assert_eq!(found(b"b", None), [&b"b"[..], b"b\0", b"b\xff", b"b\xff\xff"]);
    assert_eq!(found(b"b\xff", None), [&b"b\xff"[..], b"b\xff\xff"]);
    assert_eq!(found(b"b", Some(b"b\0")), [&b"b\xff"[..], b"b\xff\xff"]);
    assert_eq!(found(b"b", Some(b"a")), found(b"b", None), "`from` before the prefix");
    assert!(found(b"b", Some(b"c")).is_empty(), "`from` behind the prefix");
    assert_eq!(found(b"\xff", None), [b"\xff\xff"]);
    assert!(found(b"d", None).is_empty());
}

fn a_scan_goes_back_as_it_goes_on(engine: &dyn Engine) {
    let keys: [&[u8]; 8] = [b"a", b"b", b"b\0", b"b\xff", b"b\xff\xff", b"c", b"\xff", b"\xff\xff"];
    for key in keys {
        apply(engine, &[(key, Some(key))]);
    }
    for prefix in [&b""[..], b"a", b"b", b"b\xff", b"c", b"d", b"\xff"] {
        for before in
            [None, Some(&b"a"[..]), Some(b"b\xff"), Some(b"b\xff\0"), Some(b"\xff\xff\xff")]
        {
            let mut wanted = scan(engine, prefix, None, usize::MAX);
            wanted.retain(|(key, _)| before.is_none_or(|before| key.as_slice() < before));
            wanted.reverse();
            for limit in [0, 1, 2, usize::MAX] {
                let found = engine.scan_back(prefix, before, limit).expect("it does not fail");
                assert_eq!(found[..], wanted[..wanted.len().min(limit)], "{prefix:?} {before:?}");
            }
        }
    }
}

fn a_reader_sees_all_of_a_batch_or_nothing(engine: &Arc<dyn Engine>) {
    const ROUNDS: u32 = 200;
    let writer = Arc::clone(engine);
    let write = move || {
        for round in 1..=ROUNDS {
            let value = round.to_le_bytes();
            apply(&*writer, &[(b"left", Some(&value)), (b"right", Some(&value))]);
        }
    };
    std::thread::scope(|scope| {
        scope.spawn(write);
        loop {
            // Read in the batch's order: the second may be newer, and never older.
            let (left, right) = (get(&**engine, b"left"), get(&**engine, b"right"));
            let number = |value: Option<Vec<u8>>| {
                value
                    .map_or(0, |value| u32::from_le_bytes([value[0], value[1], value[2], value[3]]))
            };
            let (left, right) = (number(left), number(right));
            assert!(left <= right, "half a batch was seen: {left} and {right}");
            if left == ROUNDS {
                break;
            }
        }
    });
}

fn what_was_synced_survives_a_crash(setup: &mut impl Setup) {
    let mut engine = setup.fresh();
    for round in 0..3u8 {
        apply(&*engine, &[(&[round], Some(&[round; 5_000])), (b"last", Some(&[round]))]);
        sync(&*engine);
        engine = setup.crashed(engine);
        for earlier in 0..=round {
            assert_eq!(get(&*engine, &[earlier]), Some(vec![earlier; 5_000]), "round {round}");
        }
        assert_eq!(get(&*engine, b"last"), Some(vec![round]));
    }
}

fn a_crash_keeps_whole_batches(setup: &mut impl Setup) {
    let engine = setup.fresh();
    apply(&*engine, &[(b"x", Some(b"0")), (b"y", Some(b"0"))]);
    sync(&*engine);
    for round in 1..=9u8 {
        apply(&*engine, &[(b"x", Some(&[round])), (b"y", Some(&[round]))]);
    }
    let engine = setup.crashed(engine);
    assert_eq!(get(&*engine, b"x"), get(&*engine, b"y"), "half a batch survived");
}

fn it_does_what_a_sorted_map_does(setup: &mut impl Setup) {
    let mut engine = setup.fresh();
    let mut model: BTreeMap<Vec<u8>, Vec<u8>> = BTreeMap::new();
    // A fixed walk (the constants of PCG): a contract is the same for every engine.
    let mut state = 0x5eed_u64;
    let mut next = move |below: u64| {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % below
    };
    for step in 0..400 {
        let mut batch = Batch::default();
        for _ in 0..next(6) {
            let key = vec![next(3) as u8, next(40) as u8];
            if next(4) == 0 {
                batch.delete(key.as_slice());
                model.remove(&key);
            } else {
                let value = vec![step as u8; next(3_000) as usize];
                batch.put(key.as_slice(), value.as_slice());
                model.insert(key, value);
            }
        }
        engine.apply(&batch).expect("apply does not fail on a healthy disk");
        if step % 100 == 99 {
            sync(&*engine);
            engine = setup.crashed(engine);
        }
        let prefix = [next(3) as u8];
        let due: Vec<Pair> = model
            .range(prefix.to_vec()..)
            .take_while(|(key, _)| key.starts_with(&prefix))
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect();
        assert_eq!(scan(&*engine, &prefix, None, usize::MAX), due, "step {step}");
    }
}

#[cfg(test)]
mod tests;
