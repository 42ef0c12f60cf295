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
        path: "p".into(),
    };
    Settled { vault: "v".parse().unwrap(), prev_seq: 8, item }
}

#[test]
fn what_changes_an_item_is_the_golden_bytes() {
    let item: String = settled().item.encode().iter().map(|byte| format!("{byte:02x}")).collect();
    let due = format!("0100760800000000000000{item}");
    let (text, bytes) = hex(|out| settled().encode(out));
    assert_eq!(text, due);
    assert_eq!(Settled::decode(&bytes), Some(settled()));
    let renamed = Renamed { from: "o".into(), epoch: 7, settled: settled() };
    let (text, bytes) = hex(|out| renamed.encode(out));
    assert_eq!(text, format!("01006f0700000000000000{due}"));
    assert_eq!(Renamed::decode(&bytes), Some(renamed));
    for len in 0..bytes.len() {
        assert_eq!(Renamed::decode(&bytes[..len]), None, "{len} bytes");
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
