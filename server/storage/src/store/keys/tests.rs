//! Golden bytes: what is written here is stored, and a later build must read it.

use bytes::Bytes;
use sheaf_protocol::ids::{DocId, DocKey, VaultNo};
use sheaf_protocol::stamp::Stamp;

use super::aside::{Aside, Why};
use super::authors::Authored;
use super::cursors::Device;
use super::floors::Floor;
use super::heads::Head;
use super::hooks::{HookId, Open, Place as HookPlace, What};
use super::items::{Body, Item};
use super::labels::Label;
use super::log::{Group, LogEntry, Place};
use super::marks::{Made, Version};
use super::meta::{Facts, Folded};
use super::owners::Owner;
use super::stamps::Stamped;
use super::*;

fn doc() -> DocKey {
    DocKey { vault: VaultNo(0x0102_0304), doc: DocId(stamp()) }
}

fn stamp() -> Stamp {
    Stamp::new(0x0192_3456_789a, 0xbcde, 0x1122_3344_5566_7788)
}

const STAMP: &str = "01923456789abcde1122334455667788";

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn keys_are_the_golden_bytes() {
    let vault = "default".parse().unwrap();
    let n = "0000000000000105";
    let golden = [
        (meta::key(meta::FORMAT), format!("0000000001{}", hex(b"format"))),
        (meta::key(meta::FOLDED), format!("0000000001{}", hex(b"folded"))),
        (vaults::key(&vault), format!("0000000002{}", hex(b"default"))),
        (heads::key(doc()), format!("0102030410{STAMP}")),
        (paths::key(VaultNo(7), "a/b"), format!("0000000711{}", hex(b"a/b"))),
        (owners::key(doc(), 0x105), format!("0102030412{STAMP}{n}")),
        (log::key(doc(), 0x105), format!("0102030413{STAMP}{n}")),
        (ckpt::key(doc(), 0x105), format!("0102030414{STAMP}{n}")),
        (aside::key(doc(), 0x105), format!("0102030415{STAMP}{n}")),
        (floors::key(doc()), format!("0102030416{STAMP}")),
        (lost::key(doc(), 0x105), format!("0102030417{STAMP}{n}")),
        (marks::key(doc(), 0x105), format!("010203041b{STAMP}{n}")),
        (activity::key(VaultNo(7), 0x105), format!("000000071c{n}")),
        (labels::key(doc(), 0x105), format!("010203041d{STAMP}{n}")),
        (past::key(doc(), 0x105), format!("010203041e{STAMP}{n}")),
        (anchors::key(doc(), 0x105), format!("010203041f{STAMP}{n}")),
        (stamps::key(VaultNo(7), stamp()), format!("0000000720{STAMP}")),
        (cursors::key(VaultNo(7), 0x105), format!("0000000722{n}")),
        (meta::horizon_key(VaultNo(7)), format!("0000000701{}", hex(b"horizon"))),
        (meta::pruned_key(doc()), format!("0000000001{}01020304{STAMP}", hex(b"pruned/"))),
        (authors::key(doc(), 0x105), format!("0102030421{STAMP}{n}")),
        (retired::key(doc(), "a/b"), format!("010203041a{}ff{STAMP}", hex(b"a/b"))),
        (hooks::key(HOOK, &What::Begun), format!("0000000030{}00", "ab".repeat(16))),
        (
            hooks::key(HOOK, &What::Event(stamp())),
            format!("0000000030{}02{STAMP}", "ab".repeat(16)),
        ),
        (chunk(&ckpt::key(doc(), 0x105), 0x203), format!("0102030414{STAMP}{n}0203")),
    ];
    for (key, bytes) in golden {
        assert_eq!(hex(&key), bytes);
    }
}

#[test]
fn keys_give_back_what_they_were_made_of() {
    let key = chunk(&log::key(doc(), 0x105), 3);
    assert_eq!(Key::of(&key), Some(Key::Log));
    assert_eq!(doc_of(&key), Some(doc()));
    assert_eq!(number_of(&key), Some(0x105));
    assert_eq!((without_chunk(&key), chunk_number(&key)), (Some(&log::key(doc(), 0x105)[..]), 3));
    assert_eq!(vaults::name(&vaults::key(&"v".parse().unwrap())), "v".parse().ok());
    assert_eq!(paths::name(&paths::key(VaultNo(1), "x y")), Some("x y"));
    assert_eq!(cursors::device(&cursors::key(VaultNo(1), 9)), Some(9));
    assert_eq!(retired::name(&retired::key(doc(), "a\u{ff}b")), Some("a\u{ff}b"));
    assert_eq!(doc_of(&cursors::key(VaultNo(1), 9)), None);
    assert_eq!(meta::pruned_doc(&meta::pruned_key(doc())), Some(doc()));
    assert_eq!(meta::pruned_doc(&meta::dropped_key(VaultNo(1))), None);
    assert_eq!(doc_of(&retired::key(doc(), "a\u{ff}b")), Some(doc()));
    assert_eq!((doc_of(&meta::key("format")), doc_of(b"\0"), Key::of(b"")), (None, None, None));
}

#[test]
fn small_values_are_the_golden_bytes() {
    let (name, created) = ("näme".into(), stamp());
    let head = Head { name, epoch: 0x0203, created, is_deleted: false };
    assert_eq!(hex(&head.encode()), format!("0302000000000000{STAMP}05006ec3a46d65"));
    assert_eq!(Head::decode(&head.encode()), Some(head));

    let folded = Folded { position: 0x0102, link: 0xa0b0_c0d0, presence: 9, stamp: stamp() };
    let golden = format!("0201000000000000d0c0b0a00900000000000000{STAMP}");
    assert_eq!(hex(&folded.encode()), golden);
    assert_eq!(Folded::decode(&folded.encode()), Some(folded));
    // As stored formats below 4 have it.
    let before = Folded { stamp: Stamp::ZERO, ..folded };
    assert_eq!(Folded::decode(&folded.encode()[..20]), Some(before));

    let floor = Floor { n: 3, digest: [7; 16], unanchored: 0 };
    assert_eq!(hex(&floor.encode()), format!("0300000000000000{}", "07".repeat(16)));
    assert_eq!(Floor::decode(&floor.encode()), Some(floor));
    let floor = Floor { unanchored: 2, ..floor };
    let golden = format!("0300000000000000{}0200000000000000", "07".repeat(16));
    assert_eq!(hex(&floor.encode()), golden);
    assert_eq!(Floor::decode(&floor.encode()), Some(floor));

    assert_eq!(hex(&vaults::encode(VaultNo(0x0102))), "02010000");
    assert_eq!(vaults::decode(&vaults::encode(VaultNo(5))), Some(VaultNo(5)));
    assert_eq!(hex(&paths::encode(DocId(stamp()))), STAMP);
    assert_eq!(paths::decode(&paths::encode(DocId(stamp()))), Some(DocId(stamp())));
    assert_eq!(hex(&lost::encode(0x0102)), "0201000000000000");
    assert_eq!(lost::decode(&lost::encode(8)), Some(8));
}

#[test]
fn claims_are_the_golden_bytes() {
    let owners = vec![
        Owner { client: 300, clocks: 0..u32::MAX, owner: "ann".into(), via: None },
        Owner { client: 5, clocks: 1..2, owner: "bob".into(), via: Some("ann".into()) },
    ];
    let mut bytes = Vec::new();
    owners::encode(&mut bytes, &owners);
    let golden = "02ac0200ffffffff0f0300616e6e000501020300626f62010300616e6e";
    assert_eq!(hex(&bytes), golden);
    assert_eq!(owners::decode(&bytes), Some(owners));
    for len in 0..bytes.len() {
        assert_eq!(owners::decode(&bytes[..len]), None, "{len} bytes");
    }
    assert_eq!(owners::decode(&[0xff; 9]), None, "a count far beyond the bytes");
}

#[test]
fn client_ids_of_a_retired_document_are_the_golden_bytes() {
    let mut bytes = Vec::new();
    retired::encode(&mut bytes, &[7, 300, (1 << 53) - 1]);
    assert_eq!(hex(&bytes), "0307ac02ffffffffffffff0f");
    assert_eq!(retired::decode(&bytes), Some(vec![7, 300, (1 << 53) - 1]));
    for len in 0..bytes.len() {
        assert_eq!(retired::decode(&bytes[..len]), None, "{len} bytes");
    }
    assert_eq!(retired::decode(&[0]), Some(vec![]));
    assert_eq!(retired::decode(&[0xff; 9]), None, "a count far beyond the bytes");
    let mut largest = Vec::new();
    retired::encode(&mut largest, &[(1 << 53) - 1; retired::CLIENTS_MAX]);
    assert!(largest.len() <= crate::store::value::CHUNK_BYTES_MAX);
}

const HOOK: HookId = HookId([0xab; 16]);

#[test]
fn a_hooks_place_is_the_golden_bytes() {
    let what = What::Place("v.1".parse().unwrap());
    let key = hooks::key(HOOK, &what);
    assert_eq!(hex(&key), format!("0000000030{}01{}", "ab".repeat(16), hex(b"v.1")));
    let told = What::Told("v".parse().unwrap(), DocId(stamp()));
    let golden = format!("0000000030{}030176{STAMP}", "ab".repeat(16));
    assert_eq!(hex(&hooks::key(HOOK, &told)), golden);
    for what in [what, told, What::Begun, What::Event(stamp())] {
        let key = hooks::key(HOOK, &what);
        assert_eq!(hooks::decode_key(&key), Some((HOOK, what)));
        assert_eq!(doc_of(&key), None);
    }
    let open =
        Open { doc: DocId(stamp()), seq: 0x0304, is_new: true, failures: 5, failing_since_ms: 6 };
    let place = HookPlace { epoch: 0x0102, seq: 7, known_until_ms: 8, open: vec![open] };
    let golden = "020100000000000007000000000000000800000000000000".to_owned()
        + "0100"
        + STAMP
        + "040300000000000001050000000600000000000000";
    assert_eq!(hex(&place.encode()), golden);
    assert_eq!(HookPlace::decode(&place.encode()), Some(place.clone()));
    for len in 0..place.encode().len() {
        assert_eq!(HookPlace::decode(&place.encode()[..len]), None, "{len} bytes");
    }
}

#[test]
fn what_was_laid_aside_is_the_golden_bytes() {
    let aside = Aside {
        position: 12,
        why: Why::Kept,
        n: 2,
        stamp: stamp(),
        author: Some("ann".into()),
        payload: vec![1, 2, 3],
    };
    assert_eq!(hex(&aside.encode()), format!("050200000000000000{STAMP}010300616e6e010203"));
    assert_eq!(Aside::decode(12, &aside.encode()), Some(aside));
}

#[test]
fn a_checkpoint_is_the_golden_bytes() {
    let bytes = ckpt::encode(0x0102, [9; 16], b"state");
    assert_eq!(hex(&bytes), format!("0201000000000000{}7374617465", "09".repeat(16)));
    assert_eq!(ckpt::decode(bytes), Some((0x0102, [9; 16], b"state".to_vec())));
    assert_eq!(ckpt::decode(vec![0; 23]), None);
}

fn entry(n: u64, author: Option<&str>, bytes: &'static [u8]) -> LogEntry {
    let stamp = Stamp::new(1_000 + n / 2, (n % 2) as u16, 7);
    let bytes = Bytes::from_static(bytes);
    LogEntry { n, position: 100 * n, stamp, author: author.map(Into::into), bytes }
}

fn push(group: &mut Group, entry: &LogEntry) -> bool {
    let LogEntry { n, position, stamp, .. } = *entry;
    let place = Place { n, position, stamp, author: entry.author.as_deref() };
    group.push(place, &entry.bytes)
}

#[test]
fn a_group_of_entries_is_the_golden_bytes() {
    let entries =
        [entry(4, Some("ann"), b"one"), entry(5, None, b""), entry(6, Some("ann"), b"three")];
    let mut group = Group::default();
    assert!(entries.iter().all(|entry| push(&mut group, entry)));
    assert_eq!((group.next_n(), group.last_n()), (Some(7), 6));
    let bytes = group.encode();
    let origins = "010300616e6e0700000000000000".to_owned() + "000700000000000000";
    let places = "0090038080d03e03".to_owned() + "01640200" + "0064feff0705";
    let golden = format!("0400000000000000030000000200{origins}{places}6f6e657468726565");
    assert_eq!(hex(&bytes), golden);
    let mut found = Vec::new();
    log::decode(bytes.clone(), &mut found).unwrap();
    assert_eq!(found, entries);
    for len in 0..bytes.len() {
        assert_eq!(log::decode(bytes[..len].to_vec(), &mut Vec::new()), None, "{len} bytes");
    }
}

#[test]
fn a_group_takes_only_entries_that_follow_one_another() {
    let mut group = Group::default();
    assert!(push(&mut group, &entry(4, None, b"x")));
    assert!(!push(&mut group, &entry(6, None, b"x")));
    assert!(!push(&mut group, &entry(4, None, b"x")));
    assert!(push(&mut group, &entry(5, None, b"x")));
}

proptest::proptest! {
    #[test]
    fn no_bytes_make_a_decoder_panic(bytes in proptest::collection::vec(0u8.., 0..200)) {
        let _ = log::decode(bytes.clone(), &mut Vec::new());
        let _ = (owners::decode(&bytes), retired::decode(&bytes), retired::doc(&bytes));
        let _ = Head::decode(&bytes);
        let _ = (Item::decode(&bytes), Facts::decode(&bytes), feed::seq(&bytes));
        let _ = Aside::decode(0, &bytes);
        let _ = authors::decode(&bytes);
        let _ = (Version::decode(&bytes), Label::decode(&bytes), Stamped::decode(&bytes));
        let _ = (HookPlace::decode(&bytes), hooks::decode_key(&bytes));
        let _ = Floor::decode(&bytes);
        let _ = Folded::decode(&bytes);
        let _ = (Key::of(&bytes), doc_of(&bytes), number_of(&bytes), chunk_number(&bytes));
    }
}

fn item() -> Item {
    Item {
        seq: 0x0102,
        n: 3,
        body: Body::Text,
        is_deleted: false,
        size: 4,
        bytes: 5,
        hash: Some([6; 32]),
        updated: stamp(),
        author: Some("ann".into()),
        device: 0,
        path: "a/b".into(),
        from: None,
    }
}

#[test]
fn an_item_is_the_golden_bytes() {
    let numbers = "0201000000000000".to_owned() + "0300000000000000";
    let sizes = "0400000000000000".to_owned() + "0500000000000000";
    let hash = format!("01{}", "06".repeat(32));
    let golden = format!("{numbers}01{sizes}{hash}{STAMP}010300616e6e0300612f62");
    assert_eq!(hex(&item().encode()), golden);
    assert_eq!(Item::decode(&item().encode()), Some(item()));
    let gone = Item { is_deleted: true, body: Body::Empty, hash: None, author: None, ..item() };
    assert_eq!(hex(&gone.encode()), format!("{numbers}80{sizes}00{STAMP}000300612f62"));
    assert_eq!(Item::decode(&gone.encode()), Some(gone));
    let moved = Item { device: 9, from: Some("c".into()), ..item() };
    let end = "0900000000000000".to_owned() + "010063";
    let golden = format!("{numbers}61{sizes}{hash}{STAMP}010300616e6e0300612f62{end}");
    assert_eq!(hex(&moved.encode()), golden);
    assert_eq!(Item::decode(&moved.encode()), Some(moved.clone()));
    let bytes = moved.encode();
    for len in 0..bytes.len() {
        assert_eq!(Item::decode(&bytes[..len]), None, "{len} bytes");
    }
    assert_eq!(hex(&items::key(doc())), format!("0102030418{STAMP}"));
}

#[test]
fn a_version_its_name_and_a_stamp_are_the_golden_bytes() {
    let authors = vec![None, Some("ann".into())];
    let made =
        Made { authors, restored: 300, is_conflict: true, client_ms: Some(301), taken_ms: None };
    let version = Version { prev_seq: 200, item: item(), made };
    let how = "03".to_owned() + "ac02" + "ad02" + "02" + "00" + "010300616e6e";
    let golden = format!("c801{how}{}", hex(&item().encode()));
    assert_eq!(hex(&version.encode()), golden);
    assert_eq!(Version::decode(&version.encode()), Some(version.clone()));
    let taken = Made { taken_ms: Some(302), ..Made::default() };
    let taken = Version { prev_seq: 0, item: item(), made: taken };
    let golden = format!("000400ae0200{}", hex(&item().encode()));
    assert_eq!(hex(&taken.encode()), golden);
    assert_eq!(Version::decode(&taken.encode()), Some(taken));
    let plain = Version { prev_seq: 0, item: item(), made: Made::default() };
    let golden = format!("00000000{}", hex(&item().encode()));
    assert_eq!(hex(&plain.encode()), golden);
    assert_eq!(Version::decode(&plain.encode()), Some(plain));
    let bytes = version.encode();
    for len in 0..bytes.len() {
        assert_eq!(Version::decode(&bytes[..len]), None, "{len} bytes");
    }

    let label = Label { name: "v1".into(), stamp: stamp(), author: Some("ann".into()) };
    assert_eq!(hex(&label.encode()), format!("{STAMP}010300616e6e02007631"));
    assert_eq!(Label::decode(&label.encode()), Some(label));

    let (doc, seq) = (DocId(stamp()), 0x102);
    let stamped = Stamped { doc, seq, fingerprint: 3, received_ms: 4, count: 5 };
    let golden = format!("{STAMP}02010000000000000300000000000000040000000000000005000000");
    assert_eq!(hex(&stamped.encode()), golden);
    assert_eq!(Stamped::decode(&stamped.encode()), Some(stamped));
}

#[test]
fn who_wrote_what_is_the_golden_bytes() {
    let span = |client, clock, author: Option<&str>, minute| Authored {
        client,
        clock,
        len: 5,
        author: author.map(Into::into),
        minute,
    };
    let spans = vec![span(300, 0, Some("ann"), 70), span(300, 5, None, 71), span(7, 2, None, 71)];
    let names = "02".to_owned() + "010300616e6e" + "00";
    let golden = names + "00ac0200058c01" + "01ac02000502" + "01070f0500";
    let bytes = authors::encode(&spans);
    assert_eq!(hex(&bytes), golden);
    assert_eq!(authors::decode(&bytes), Some(spans));
    assert_eq!(authors::decode(&authors::encode(&[])), Some(vec![]));
}

#[test]
fn the_feed_and_the_facts_of_a_vault_are_the_golden_bytes() {
    assert_eq!(hex(&feed::key(VaultNo(7), 0x105)), "00000007190000000000000105");
    assert_eq!(feed::seq(&feed::key(VaultNo(7), 0x105)), Some(0x105));
    assert_eq!(hex(&feed::encode(DocId(stamp()))), STAMP);
    assert_eq!(feed::decode(&feed::encode(DocId(stamp()))), Some(DocId(stamp())));

    let facts = Facts { name: "v".parse().unwrap(), epoch: 2, created: stamp(), seq: 3 };
    let numbers = "0200000000000000".to_owned() + "0300000000000000";
    assert_eq!(hex(&facts.encode()), format!("{numbers}{STAMP}010076"));
    assert_eq!(Facts::decode(&facts.encode()), Some(facts));
    assert_eq!(hex(&meta::facts_key(VaultNo(7))), format!("0000000701{}", hex(b"facts")));

    let dropped = meta::dropped_key(VaultNo(7));
    assert_eq!(hex(&dropped), format!("0000000001{}00000007", hex(b"dropped/")));
    assert_eq!(meta::dropped_vault(&dropped), Some(VaultNo(7)));
    assert_eq!(meta::dropped_vault(&meta::key(meta::FOLDED)), None);

    let (name, created) = ("n".into(), stamp());
    let head = Head { name, epoch: 1, created, is_deleted: true };
    assert_eq!(hex(&head.encode()), format!("0100000000000000{STAMP}01006e01"));
    assert_eq!(Head::decode(&head.encode()), Some(head));
}

#[test]
fn a_device_is_the_golden_bytes() {
    let device = Device {
        user: Some("ann".into()),
        name: None,
        is_live: true,
        is_revoked: true,
        registered: 0x105,
        acked: 0x106,
        seen_ms: 7,
        acked_ms: 8,
    };
    let numbers = "0501000000000000060100000000000007000000000000000800000000000000";
    let bytes = device.encode();
    assert_eq!(hex(&bytes), format!("03{numbers}010300{}00", hex(b"ann")));
    assert_eq!(Device::decode(&bytes), Some(device));
    let plain = Device { name: Some("x".into()), ..Device::default() };
    assert_eq!(hex(&plain.encode()), format!("00{}00010100{}", "00".repeat(32), hex(b"x")));
    assert_eq!(Device::decode(&plain.encode()), Some(plain));
    for cut in 0..bytes.len() {
        assert_eq!(Device::decode(&bytes[..cut]), None);
    }
    let unknown = [&[4][..], &bytes[1..]].concat();
    assert_eq!(Device::decode(&unknown), None);
}
