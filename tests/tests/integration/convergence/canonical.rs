//! A form of an encoded document that does not depend on the way it came about.

use sheaf_protocol::scan::{self, Event};
use yrs::updates::decoder::Decode;
use yrs::{Doc, Options, ReadTxn, StateVector, Transact, Update};

/// One line for each block and each deleted range, in order of their ids.
///
/// Replicas may have cut the same run of text at different places; loading the whole document in
/// one transaction joins what can be joined.
pub(super) fn canonical(encoded: &[u8]) -> Vec<String> {
    let doc = Doc::with_options(Options { cleanup_formatting: false, ..Options::default() });
    let update = Update::decode_v1(encoded).expect("a replica encodes what can be decoded");
    doc.transact_mut().apply_update(update).expect("and applied");
    let encoded = doc.transact().encode_diff_v1(&StateVector::default());
    let update = scan::update(&encoded).expect("and scanned");
    let mut lines: Vec<String> = update
        .events()
        .filter_map(|event| match event {
            Event::Section { .. } => None,
            Event::Block(block) => {
                let id = format!("{:>10}.{:<6}", block.id.client, block.id.clock);
                Some(format!("{id} +{} {:?}", block.len, block.bytes))
            }
            Event::Delete { client, clock, len } => Some(format!("{client:>10}.{clock:<6} -{len}")),
        })
        .collect();
    lines.sort();
    lines
}
