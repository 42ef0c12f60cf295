//! Real updates to mutate, from Yjs and from yrs, and the mutations. One seed gives one sequence.

use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use sheaf_tests::seed::generator;
use sheaf_tests::wire::{UpdateVector, bytes, corpus, load};
use yrs::types::Attrs;
use yrs::{
    Any, Array, Doc, Map, MapPrelim, ReadTxn, StateVector, Text, TextPrelim, Transact,
    TransactionMut, WriteTxn, XmlElementPrelim, XmlFragment, XmlTextPrelim,
};

/// Every committed update of Yjs, and those of 40 editing sessions in yrs.
pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let vectors = load::<UpdateVector>("updates.json");
    let of_yjs = vectors.iter().map(|vector| bytes(&vector.hex)).chain(corpus());
    of_yjs.chain((0..40).flat_map(session)).collect()
}

/// One session of two replicas: its last edit, what one lacks of the other, and the whole.
fn session(seed: u64) -> Vec<Vec<u8>> {
    let mut draw = generator(seed);
    let [left, right] = [1, 2].map(|n| Doc::with_client_id(seed * 10 + n));
    let mut last = Vec::new();
    for step in 0..10 {
        let doc = if draw.random_bool(0.5) { &left } else { &right };
        let mut txn = doc.transact_mut();
        edit(&mut txn, &mut draw);
        last = txn.encode_update_v1();
        drop(txn);
        if step % 4 == 3 {
            exchange(&left, &right);
        }
    }
    let vector = right.transact().state_vector();
    let missing = left.transact().encode_state_as_update_v1(&vector);
    exchange(&right, &left);
    vec![last, missing, left.transact().encode_state_as_update_v1(&StateVector::default())]
}

fn exchange(from: &Doc, to: &Doc) {
    use yrs::updates::decoder::Decode;
    let vector = to.transact().state_vector();
    let update = from.transact().encode_state_as_update_v1(&vector);
    let update = yrs::Update::decode_v1(&update).expect("its own encoding");
    to.transact_mut().apply_update(update).expect("an honest update");
}

fn edit(txn: &mut TransactionMut<'_>, draw: &mut ChaCha8Rng) {
    let text = txn.get_or_insert_text("content");
    let map = txn.get_or_insert_map("map");
    let list = txn.get_or_insert_array("list");
    let xml = txn.get_or_insert_xml_fragment("xml");
    let len = text.len(txn);
    match draw.random_range(0..10) {
        0..=2 => text.insert(txn, draw.random_range(0..=len), "some words "),
        3 if len > 4 => text.remove_range(txn, draw.random_range(0..len - 3), 3),
        4 if len > 4 => {
            let bold = Attrs::from([("bold".into(), true.into())]);
            text.format(txn, draw.random_range(0..len - 3), 3, bold);
        }
        5 => {
            let value = Any::from(vec![Any::from(1.5), Any::Null, Any::from("v")]);
            map.insert(txn, format!("k{}", draw.random_range(0..4)), value);
        }
        6 => list.insert_range(txn, 0, [Any::from(7), Any::from("x"), Any::Undefined]),
        7 => {
            let inner = list.push_back(txn, MapPrelim::from([("a", Any::from(true))]));
            inner.insert(txn, "text", TextPrelim::new("deep"));
        }
        8 => {
            let element = xml.insert(txn, 0, XmlElementPrelim::empty("p"));
            element.insert(txn, 0, XmlTextPrelim::new("xml text"));
        }
        9 if xml.len(txn) > 1 => xml.remove_range(txn, 0, 1),
        _ => {
            map.remove(txn, "k1");
        }
    }
}

/// One to four edits on the seed at `place`: bits, bytes, numbers, ranges, splices of two seeds.
pub(crate) fn mutate(seeds: &[Vec<u8>], place: usize, draw: &mut ChaCha8Rng) -> Vec<u8> {
    let mut bytes = seeds[place].clone();
    for _ in 0..draw.random_range(1..=4) {
        if bytes.is_empty() {
            break;
        }
        let at = draw.random_range(0..bytes.len());
        let end = draw.random_range(at..bytes.len().min(at + 16)) + 1;
        match draw.random_range(0..10) {
            0 => bytes[at] ^= 1 << draw.random_range(0..8),
            1 => bytes[at] = draw.random(),
            2 => bytes[at] = [0, 1, 2, 10, 0x7f, 0x80, 0xff][draw.random_range(0..7)],
            3 => bytes[at] = bytes[at].wrapping_add(1),
            4 => bytes[at] = bytes[at].wrapping_sub(1),
            5 => bytes.insert(at, draw.random()),
            6 => drop(bytes.drain(at..end)),
            7 => {
                let range = bytes[at..end].to_vec();
                bytes.splice(at..at, range);
            }
            8 => {
                let other = &seeds[draw.random_range(0..seeds.len())];
                bytes.truncate(at);
                bytes.extend_from_slice(&other[draw.random_range(0..other.len())..]);
            }
            _ => {
                let other = &seeds[draw.random_range(0..seeds.len())];
                let from = draw.random_range(0..other.len());
                let to = draw.random_range(from..other.len().min(from + 32));
                bytes.splice(at..at, other[from..to].iter().copied());
            }
        }
    }
    bytes
}
