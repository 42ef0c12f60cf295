//! The dearest shapes that pass the scan: most memory for a byte of wire.

use sheaf_protocol::limits::{NEW_CLIENT_IDS_PER_FRAME_MAX, SUBDOCUMENTS_PER_FRAME_MAX};
use sheaf_protocol::varint::write_uint;

/// Name and update; each about a quarter of a megabyte, or as long as its own bound allows.
pub(crate) fn shapes() -> Vec<(&'static str, Vec<u8>)> {
    const COUNT: u64 = 60_000;
    let same = |block: &'static [u8]| section(COUNT, |out, _| out.extend_from_slice(block));
    let any = |value: &'static [u8]| {
        section(1, |out, _| {
            out.extend_from_slice(&[8, 1, 0]);
            write_uint(out, 4 * COUNT);
            out.extend(value.repeat(4 * COUNT as usize));
        })
    };
    vec![
        ("collected blocks", same(&[0, 1])),
        ("deleted blocks", same(&[1, 1, 0, 1])),
        (
            "single characters at one place",
            section(3_000, |out, _| out.extend(b"\x04\x01\x00\x01a")),
        ),
        ("single characters in a chain", section(COUNT, |out, n| chained(out, n, b"\x04\x01a"))),
        ("single values in a chain", section(COUNT, |out, n| chained(out, n, &[8, 1, 126]))),
        ("legacy values in a chain", section(COUNT, |out, n| chained(out, n, b"\x02\x01\x011"))),
        ("marks in a chain", section(COUNT, |out, n| chained(out, n, b"\x06\x01b\x011"))),
        ("embeds in a chain", section(COUNT, |out, n| chained(out, n, b"\x05\x011"))),
        ("types in a chain", section(COUNT, |out, n| chained(out, n, &[7, 1]))),
        ("binaries in a chain", section(COUNT, |out, n| chained(out, n, &[3, 0]))),
        (
            "values of a map",
            section(COUNT, |out, n| {
                out.extend_from_slice(&[0x28, 1, 0]);
                let key = format!("{n:x}");
                write_uint(out, key.len() as u64);
                out.extend_from_slice(key.as_bytes());
                out.extend_from_slice(&[1, 126]);
            }),
        ),
        ("nulls", any(&[126])),
        ("empty arrays", any(&[117, 0])),
        ("empty maps", any(&[118, 0])),
        ("maps of one", any(&[118, 1, 0, 126])),
        ("empty strings", any(&[119, 0])),
        (
            "subdocuments",
            section(u64::from(SUBDOCUMENTS_PER_FRAME_MAX), |out, n| {
                chained(out, n, &[9, 0, 127]);
            }),
        ),
        ("clients", clients(NEW_CLIENT_IDS_PER_FRAME_MAX)),
        ("every second character deleted", deletes(6_000)),
    ]
}

/// A section of client 1 with `count` blocks, each written by `block` from its place.
fn section(count: u64, block: impl Fn(&mut Vec<u8>, u64)) -> Vec<u8> {
    let mut out = vec![1];
    write_uint(&mut out, count);
    out.extend_from_slice(&[1, 0]);
    for place in 0..count {
        block(&mut out, place);
    }
    out.push(0);
    out
}

/// Content after the block before it, or in root "" if it is the first.
fn chained(out: &mut Vec<u8>, place: u64, content: &[u8]) {
    if place == 0 {
        out.extend_from_slice(&[content[0], 1, 0]);
    } else {
        out.extend_from_slice(&[content[0] | 0x80, 1]);
        write_uint(out, place - 1);
    }
    out.extend_from_slice(&content[1..]);
}

fn clients(count: u32) -> Vec<u8> {
    let mut out = Vec::new();
    write_uint(&mut out, u64::from(count));
    for client in (0..u64::from(count)).rev() {
        out.push(1);
        write_uint(&mut out, client);
        out.extend_from_slice(&[0, 0, 1]);
    }
    out.push(0);
    out
}

fn deletes(count: u64) -> Vec<u8> {
    let mut out = vec![1, 1, 1, 0, 4, 1, 0];
    write_uint(&mut out, 2 * count);
    out.extend("a".repeat(2 * count as usize).bytes());
    out.extend_from_slice(&[1, 1]);
    write_uint(&mut out, count);
    for place in 0..count {
        write_uint(&mut out, 2 * place);
        out.push(1);
    }
    out
}
