use rand::Rng;
use sheaf_ground::time::Seed;

use super::*;
use crate::blob::hash::Hash;

fn bytes(number: u64, count: usize) -> Vec<u8> {
    let mut bytes = vec![0; count];
    Seed::fixed(number).generator("blob").fill_bytes(&mut bytes);
    bytes
}

fn cuts(mut bytes: &[u8]) -> Vec<usize> {
    let mut cuts = Vec::new();
    while !bytes.is_empty() {
        let end = first(bytes);
        cuts.push(end);
        bytes = &bytes[end..];
    }
    cuts
}

#[test]
fn cuts_are_where_they_were() {
    // Others would be as right, and share nothing with what is stored.
    assert_eq!(
        cuts(&bytes(1, 2 << 20)),
        [
            408_383, 73_030, 83_566, 279_814, 210_941, 327_766, 347_632, 125_588, 86_758, 98_606,
            55_068
        ]
    );
    assert_eq!(cuts(&vec![0; (2 << 20) + 1]), [1 << 20, 1 << 20, 1]);
}

#[test]
fn a_cut_does_not_depend_on_what_follows_the_greatest_chunk() {
    let all = bytes(2, 4 << 20);
    let mut left = all.as_slice();
    while left.len() > CHUNK_BYTES_MAX + 1 {
        assert_eq!(first(left), first(&left[..=CHUNK_BYTES_MAX]));
        left = &left[first(left)..];
    }
}

#[test]
fn chunks_are_within_their_bounds_and_near_their_average() {
    let cuts = cuts(&bytes(3, 32 << 20));
    let (last, others) = cuts.split_last().expect("some");
    assert!(others.iter().all(|cut| (CHUNK_BYTES_MIN..=CHUNK_BYTES_MAX).contains(cut)));
    assert!((1..=CHUNK_BYTES_MAX).contains(last));
    let average = (32 << 20) / cuts.len();
    assert!((CHUNK_BYTES_AVERAGE / 2..CHUNK_BYTES_AVERAGE * 2).contains(&average), "{average}");
}

#[test]
fn an_insertion_changes_few_chunks() {
    let before = bytes(4, 8 << 20);
    let mut after = before.clone();
    after.splice(3 << 20..3 << 20, *b"a few words more");
    let hashes = |bytes: &[u8]| {
        let mut left = bytes;
        let each = cuts(bytes).into_iter().map(|cut| {
            let chunk = Hash::of(&left[..cut]);
            left = &left[cut..];
            chunk
        });
        each.collect::<std::collections::HashSet<_>>()
    };
    let new = hashes(&after).difference(&hashes(&before)).count();
    assert!((1..=3).contains(&new), "{new} new chunks");
}
