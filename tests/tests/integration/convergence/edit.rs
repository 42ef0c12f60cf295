//! Edits of every kind a document takes: text with formats, embeds and emoji, maps, arrays, nested
//! types, XML.

use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};
use sheaf_client::state::State;
use yrs::types::Attrs;
use yrs::types::text::YChange;
use yrs::{
    Any, Array, ArrayPrelim, Map, MapPrelim, MapRef, Out, ReadTxn, Text, TextPrelim, TextRef,
    TransactionMut, WriteTxn, XmlElementPrelim, XmlFragment, XmlTextPrelim,
};

/// What is typed: plain, CRLF, outside the basic plane, joined and combining characters, long.
const PIECES: [&str; 12] = [
    "a",
    "word ",
    "\r\n",
    "\n",
    "😀",
    "👩‍👩‍👧",
    "e\u{301}",
    "naïve ",
    "𝄞",
    "中文",
    "\u{FFFD}",
    "a longer run of plain text, as from the clipboard. ",
];
const KEYS: [&str; 4] = ["title", "done", "child", "ключ"];
const MARKS: [&str; 2] = ["bold", "link"];

/// Which kind of edit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Kind {
    Insert,
    Delete,
    Replace,
    Format,
    Embed,
    SetKey,
    RemoveKey,
    InsertItem,
    RemoveItem,
    NestMap,
    NestText,
    EditNested,
    Xml,
}

impl Kind {
    pub(super) fn draw(draw: &mut ChaCha8Rng) -> Self {
        match draw.random_range(0..40) {
            0..14 => Self::Insert,
            14..20 => Self::Delete,
            20..22 => Self::Replace,
            22..25 => Self::Format,
            25 => Self::Embed,
            26..29 => Self::SetKey,
            29 => Self::RemoveKey,
            30..32 => Self::InsertItem,
            32 => Self::RemoveItem,
            33 => Self::NestMap,
            34 => Self::NestText,
            35..38 => Self::EditNested,
            _ => Self::Xml,
        }
    }
}

/// Edits the replica; `a` and `b` choose where and what.
pub(super) fn edit(state: &State, kind: Kind, a: u32, b: u32) {
    state.edit(|txn, text| match kind {
        Kind::Insert | Kind::Delete | Kind::Replace | Kind::Format | Kind::Embed => {
            edit_text(txn, text, kind, a, b);
        }
        Kind::SetKey | Kind::RemoveKey | Kind::NestMap => {
            let map = txn.get_or_insert_map("properties");
            edit_map(txn, &map, kind, a, b);
        }
        Kind::InsertItem | Kind::RemoveItem | Kind::NestText => edit_array(txn, kind, a, b),
        Kind::EditNested => edit_nested(txn, a, b),
        Kind::Xml => edit_xml(txn, a, b),
    });
}

fn pick<T: Copy>(from: &[T], number: u32) -> T {
    from[number as usize % from.len()]
}

/// The offsets between characters, in UTF-16 units.
fn boundaries(txn: &impl ReadTxn, text: &TextRef) -> Vec<u32> {
    let (mut boundaries, mut unit) = (vec![0], 0);
    for chunk in text.diff(txn, YChange::identity) {
        match chunk.insert {
            Out::Any(Any::String(chunk)) => {
                for character in chunk.chars() {
                    unit += character.len_utf16() as u32;
                    boundaries.push(unit);
                }
            }
            _ => {
                unit += 1;
                boundaries.push(unit);
            }
        }
    }
    boundaries
}

fn edit_text(txn: &mut TransactionMut<'_>, text: &TextRef, kind: Kind, a: u32, b: u32) {
    let boundaries = boundaries(txn, text);
    let from = a as usize % boundaries.len();
    let to = (from + 1 + b as usize % 8).min(boundaries.len() - 1);
    let (at, len) = (boundaries[from], boundaries[to.max(from)] - boundaries[from]);
    if len > 0 && matches!(kind, Kind::Delete | Kind::Replace) {
        text.remove_range(txn, at, len);
    }
    match kind {
        Kind::Insert | Kind::Replace => text.insert(txn, at, pick(&PIECES, b)),
        Kind::Format if len > 0 => {
            let value =
                if b.is_multiple_of(3) { Any::Null } else { Any::from(b.is_multiple_of(2)) };
            text.format(txn, at, len, Attrs::from([(pick(&MARKS, b >> 8).into(), value)]));
        }
        Kind::Embed => {
            text.insert_embed(txn, at, Any::from(f64::from(b)));
        }
        _ => {}
    }
}

fn edit_map(txn: &mut TransactionMut<'_>, map: &MapRef, kind: Kind, a: u32, b: u32) {
    let key = pick(&KEYS, a);
    match kind {
        Kind::RemoveKey => {
            map.remove(txn, key);
        }
        Kind::NestMap => {
            map.insert(txn, key, MapPrelim::from([("n", f64::from(b))]));
        }
        _ if b.is_multiple_of(2) => {
            map.insert(txn, key, f64::from(b));
        }
        _ => {
            map.insert(txn, key, pick(&PIECES, b));
        }
    }
}

fn edit_array(txn: &mut TransactionMut<'_>, kind: Kind, a: u32, b: u32) {
    let array = txn.get_or_insert_array("list");
    let len = array.len(txn);
    match kind {
        Kind::RemoveItem if len > 0 => array.remove(txn, a % len),
        Kind::RemoveItem => {}
        Kind::NestText => {
            array.insert(txn, a % (len + 1), TextPrelim::new(pick(&PIECES, b)));
        }
        _ if b.is_multiple_of(3) => {
            array.insert(txn, a % (len + 1), ArrayPrelim::from([f64::from(a), f64::from(b)]));
        }
        _ => array.insert_range(txn, a % (len + 1), [f64::from(a), f64::from(b)]),
    }
}

fn edit_nested(txn: &mut TransactionMut<'_>, a: u32, b: u32) {
    let properties = txn.get_or_insert_map("properties");
    let list = txn.get_or_insert_array("list");
    let mut nested: Vec<Out> = list.iter(txn).collect();
    // The keys in their own order: a map iterates in any.
    nested.extend(KEYS.iter().filter_map(|key| properties.get(txn, key)));
    nested.retain(|value| matches!(value, Out::YText(_) | Out::YMap(_) | Out::YArray(_)));
    if nested.is_empty() {
        return;
    }
    match &nested[a as usize % nested.len()] {
        Out::YText(text) => edit_text(txn, text, pick(&[Kind::Insert, Kind::Delete], b), a, b >> 2),
        Out::YMap(map) => edit_map(txn, map, pick(&[Kind::SetKey, Kind::NestMap], b), a, b >> 2),
        Out::YArray(array) => {
            let len = array.len(txn);
            array.insert(txn, b % (len + 1), f64::from(b));
        }
        _ => {}
    }
}

fn edit_xml(txn: &mut TransactionMut<'_>, a: u32, b: u32) {
    let fragment = txn.get_or_insert_xml_fragment("xml");
    let len = fragment.len(txn);
    match b % 3 {
        0 if len > 0 => fragment.remove(txn, a % len),
        1 => {
            fragment.insert(txn, a % (len + 1), XmlTextPrelim::new(pick(&PIECES, b >> 2)));
        }
        _ => {
            let paragraph = fragment.insert(txn, a % (len + 1), XmlElementPrelim::empty("p"));
            paragraph.insert(txn, 0, XmlTextPrelim::new(pick(&PIECES, b >> 2)));
        }
    }
}
