//! Golden bytes of the payloads that vaults write.

use sheaf_protocol::stamp::Stamp;

use super::*;
use crate::store::Body;

fn hex(write: impl FnOnce(&mut Vec<u8>)) -> (String, Vec<u8>) {
    let mut bytes = Vec::new();
    write(&mut bytes);
    (bytes.iter().map(|byte| format!("{byte:02x}")).collect(), bytes)
}

fn settled() -> Settled {
    let item = Item {
        seq: 9,
        n: 3,
        body: Body::Other,
        is_deleted: false,
        size: 4,
        bytes: 5,
        hash: None,
        updated: Stamp::new(1, 2, 3),
        author: None,
        device: 7,
        path: "p".into(),
        from: None,
    };
    let made = Made { authors: vec![None], ..Made::default() };
    Settled { vault: "v".parse().unwrap(), prev_seq: 8, item, made }
}

#[test]
fn what_changes_an_item_is_the_golden_bytes() {
    let item: String = settled().item.encode().iter().map(|byte| format!("{byte:02x}")).collect();
    let before = format!("0100760800000000000000{item}");
    let due = format!("{before}00000100");
    let (text, bytes) = hex(|out| settled().encode(out));
    assert_eq!(text, due);
    assert_eq!(Settled::decode(&bytes), Some(settled()));
    // As stored formats 2 and 3 have it in journals that were not folded yet.
    let old = &bytes[..before.len() / 2];
    assert_eq!(Settled::decode(old), Some(Settled { made: Made::default(), ..settled() }));
    let renamed = Renamed { from: "o".into(), epoch: 7, settled: settled() };
    let (text, bytes) = hex(|out| renamed.encode(out));
    assert_eq!(text, format!("01006f0700000000000000{due}"));
    assert_eq!(Renamed::decode(&bytes), Some(renamed));
    let old = bytes.len() - (due.len() - before.len()) / 2;
    for len in (0..bytes.len()).filter(|len| *len != old) {
        assert_eq!(Renamed::decode(&bytes[..len]), None, "{len} bytes");
    }
}

#[test]
fn a_name_and_a_stamp_are_the_golden_bytes() {
    let named = Named { seq: 300, name: Some("v1".into()) };
    let (text, bytes) = hex(|out| named.encode(out));
    assert_eq!(text, "2c0100000000000001".to_owned() + "02007631");
    assert_eq!(Named::decode(&bytes), Some(named));
    let unnamed = Named { seq: 1, name: None };
    let (text, bytes) = hex(|out| unnamed.encode(out));
    assert_eq!(text, "010000000000000000");
    assert_eq!(Named::decode(&bytes), Some(unnamed));

    let doc = DocId(Stamp::new(1, 2, 3));
    let came_to = stamps::Stamped { doc, seq: 4, fingerprint: 5, received_ms: 6, count: 7 };
    let stamped = Stamped { stamp: Stamp::new(6, 7, 8), came_to };
    let (text, bytes) = hex(|out| stamped.encode(out));
    let due = "00000000000600070000000000000008".to_owned()
        + "00000000000100020000000000000003"
        + "04000000000000000500000000000000060000000000000007000000";
    assert_eq!(text, due);
    assert_eq!(Stamped::decode(&bytes), Some(stamped));
    for len in 0..bytes.len() {
        assert_eq!(Stamped::decode(&bytes[..len]), None, "{len} bytes");
    }
}

#[test]
fn a_retired_history_is_the_golden_bytes() {
    let retired = Retired { name: "o".into(), clients: vec![7, 300] };
    let (text, bytes) = hex(|out| retired.encode(out));
    assert_eq!(text, "01006f0207ac02");
    assert_eq!(Retired::decode(&bytes), Some(retired));
    for len in 0..bytes.len() {
        assert_eq!(Retired::decode(&bytes[..len]), None, "{len} bytes");
    }
}

#[test]
fn the_life_of_a_vault_is_the_golden_bytes() {
    let created = VaultCreated { name: "v".parse().unwrap(), epoch: 2, seq: 3 };
    let (text, bytes) = hex(|out| created.encode(out));
    assert_eq!(text, "0100760200000000000000".to_owned() + "0300000000000000");
    assert_eq!(VaultCreated::decode(&bytes), Some(created));
    let dropped = VaultDropped { name: "v".parse().unwrap() };
    let (text, bytes) = hex(|out| dropped.encode(out));
    assert_eq!(text, "010076");
    assert_eq!(VaultDropped::decode(&bytes), Some(dropped));
}

#[test]
fn a_device_and_what_is_forgotten_are_the_golden_bytes() {
    let is_now = cursors::Device { registered: 1, ..cursors::Device::default() };
    let device = Device { device: 0x105, is_now: Some(is_now) };
    let (text, bytes) = hex(|out| device.encode(out));
    let due = "0501000000000000".to_owned() + "01" + "000100000000000000";
    assert_eq!(text, due + &"00".repeat(24) + "0000");
    assert_eq!(Device::decode(&bytes), Some(device));
    for len in 0..bytes.len() {
        assert_eq!(Device::decode(&bytes[..len]), None, "{len} bytes");
    }
    let gone = Device { device: 7, is_now: None };
    let (text, bytes) = hex(|out| gone.encode(out));
    assert_eq!(text, "070000000000000000");
    assert_eq!(Device::decode(&bytes), Some(gone));

    let doc = DocId(Stamp::new(1, 2, 3));
    let pruned = Pruned { horizon: 9, documents: vec![(doc, 4)], names: vec![(doc, "o".into())] };
    let (text, bytes) = hex(|out| pruned.encode(out));
    let id = "00000000000100020000000000000003";
    assert_eq!(text, format!("090000000000000001{id}040000000000000001{id}01006f"));
    assert_eq!(Pruned::decode(&bytes), Some(pruned));
    for len in 0..bytes.len() {
        assert_eq!(Pruned::decode(&bytes[..len]), None, "{len} bytes");
    }
}
