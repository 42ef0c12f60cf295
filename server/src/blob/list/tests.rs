use super::*;

fn blob() -> Hash {
    Hash::of(b"a large blob")
}

fn chunks() -> Vec<Chunk> {
    let chunk = |text: &str, bytes| Chunk { hash: Hash::of(text.as_bytes()), bytes };
    vec![chunk("a", 1 << 20), chunk("b", 64 << 10), chunk("c", 1)]
}

#[test]
fn a_list_is_written_as_it_was() {
    let list = encode(&blob(), &chunks());
    let text: String = list.iter().map(|byte| format!("{byte:02x}")).collect();
    let expected = [
        "5348424c01",
        "25a545df2ddc2f336e36358151b3b17e8b7cc2c87a4eba998546e91a26b40eb3",
        "0000000000110001",
        "00000003",
        "ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb",
        "00100000",
        "3e23e8160039594a33894f6564e1b1348bbd7a0088d42c4acb73eeaed59c009d",
        "00010000",
        "2e7d2c03a9507ae265ecf5b5356885a53393a2029d241394997265a1a25aefc6",
        "00000001",
    ];
    assert_eq!(text[..text.len() - 8], expected.concat());
    assert_eq!(text[text.len() - 8..], *"36cafa33", "CRC32C");
    assert_eq!(decode(&blob(), &list), Some(chunks()));
}

#[test]
fn a_list_with_a_changed_byte_or_of_another_blob_is_none() {
    let list = encode(&blob(), &chunks());
    for place in 0..list.len() {
        let mut damaged = list.clone();
        damaged[place] ^= 0x10;
        assert_eq!(decode(&blob(), &damaged), None, "byte {place}");
        assert_eq!(decode(&blob(), &list[..place]), None, "cut at {place}");
    }
    assert_eq!(decode(&Hash::of(b"another"), &list), None);
}

#[test]
fn a_list_that_no_blob_has_is_refused() {
    let chunk = |bytes| Chunk { hash: blob(), bytes };
    let large = 1 << 20;
    for (bytes, why) in [
        (vec![], "empty"),
        (vec![large, large + 1], "long last"),
        (vec![large + 1, large], "long first"),
        (vec![large, (64 << 10) - 1, large], "short in the middle"),
        (vec![large, large, 0], "empty last"),
        (vec![large], "one piece"),
        (vec![64 << 10, 1], "small"),
    ] {
        let chunks: Vec<Chunk> = bytes.into_iter().map(chunk).collect();
        assert!(check(&chunks).is_err(), "{why}");
    }
    assert_eq!(check(&[chunk(large), chunk(1)]), Ok(()));
}
