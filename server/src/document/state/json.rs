//! A document as JSON.
//!
//! Job: every root with its kind and value, for `GET …?as=json` and the like. Called by `state`.
//! Never changes the document, and its recursion is bounded by the bounds on nesting that the guard
//! holds (128 types, 64 levels of JSON in each value).
//!
//! What JSON has no word for is an object with one key: `{"$binary": "<base64>"}`,
//! `{"$undefined": true}`, `{"$number": "NaN"}` (or `Infinity`, `-Infinity`), `{"$document":
//! "<guid>"}`. Whole numbers are written in full, also those above 2^53.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};
use yrs::any::Number;
use yrs::branch::{Branch, BranchPtr};
use yrs::types::Attrs;
use yrs::{Any, Array, ArrayRef, GetString, Map as _, MapRef, Out, ReadTxn, Xml};

use super::roots::{self, Chunk, Kind};

/// Every root: `{"<name>": {"type": "text" | "xml" | "array" | "map" | "empty", "value": …}}`. A
/// text with formats or embedded values has them as `delta` too, and a sequence that also has keys
/// has those as `attributes`.
pub(super) fn roots(txn: &impl ReadTxn) -> Map<String, Value> {
    let mut all: Vec<_> = txn.root_refs().collect();
    all.sort_unstable_by_key(|(name, _)| *name);
    let branches = all.iter().filter_map(|(name, out)| Some((*name, out.try_branch()?)));
    branches.map(|(name, branch)| (name.to_owned(), root(branch, txn))).collect()
}

fn root(branch: &Branch, txn: &impl ReadTxn) -> Value {
    let (kind, chunks) = roots::sniff(branch, txn);
    let mut root = Map::new();
    root.insert("type".to_owned(), kind.name().into());
    let value = match kind {
        Kind::Empty => Value::Null,
        Kind::Text => roots::joined(&chunks).into(),
        Kind::Xml => xml(&chunks, txn).into(),
        Kind::Array => array(branch, txn),
        Kind::Map => map(branch, txn),
    };
    root.insert("value".to_owned(), value);
    let is_plain = |chunk: &Chunk| chunk.attributes.is_none() && roots::characters(chunk).is_some();
    if kind == Kind::Text && !chunks.iter().all(is_plain) {
        root.insert("delta".to_owned(), chunks.iter().map(|chunk| delta(chunk, txn)).collect());
    }
    if !matches!(kind, Kind::Empty | Kind::Map) && roots::has_keys(branch, txn) {
        root.insert("attributes".to_owned(), map(branch, txn));
    }
    root.into()
}

fn delta(chunk: &Chunk, txn: &impl ReadTxn) -> Value {
    let insert = value(&chunk.insert, txn);
    match &chunk.attributes {
        None => json!({ "insert": insert }),
        Some(attributes) => {
            let attributes: Map<_, _> =
                sorted(attributes).map(|(key, value)| (key.to_owned(), any(value))).collect();
            json!({ "insert": insert, "attributes": attributes })
        }
    }
}

fn sorted(attributes: &Attrs) -> impl DoubleEndedIterator<Item = (&str, &Any)> {
    let mut all: Vec<_> = attributes.iter().map(|(key, value)| (&**key, value)).collect();
    all.sort_unstable_by_key(|(key, _)| *key);
    all.into_iter()
}

fn value(out: &Out, txn: &impl ReadTxn) -> Value {
    match out {
        Out::Any(value) => any(value),
        Out::YText(text) => text.get_string(txn).into(),
        Out::YArray(inner) => array(inner.as_ref(), txn),
        Out::YMap(inner) => map(inner.as_ref(), txn),
        Out::YXmlElement(_) | Out::YXmlFragment(_) | Out::YXmlText(_) => {
            let mut written = String::new();
            write_node(out, txn, &mut written);
            written.into()
        }
        Out::YDoc(doc) => json!({ "$document": doc.guid().as_ref() }),
        Out::UndefinedRef(_) => Value::Null,
    }
}

fn array(branch: &Branch, txn: &impl ReadTxn) -> Value {
    ArrayRef::from(BranchPtr::from(branch)).iter(txn).map(|item| value(&item, txn)).collect()
}

fn map(branch: &Branch, txn: &impl ReadTxn) -> Value {
    let map = MapRef::from(BranchPtr::from(branch));
    let mut entries: Vec<_> = map.iter(txn).collect();
    entries.sort_unstable_by_key(|(key, _)| *key);
    let entries = entries.iter().map(|(key, item)| ((*key).to_owned(), value(item, txn)));
    entries.collect::<Map<_, _>>().into()
}

fn any(value: &Any) -> Value {
    match value {
        Any::Null => Value::Null,
        Any::Undefined => json!({ "$undefined": true }),
        Any::Bool(value) => (*value).into(),
        Any::Number(Number::Int(number)) => (*number).into(),
        Any::Number(Number::Float(number)) => float(*number),
        Any::String(text) => (&**text).into(),
        Any::Buffer(bytes) => json!({ "$binary": STANDARD.encode(bytes) }),
        Any::Array(items) => items.iter().map(any).collect(),
        Any::Map(entries) => {
            let mut entries: Vec<_> = entries.iter().collect();
            entries.sort_unstable_by_key(|(key, _)| *key);
            let entries = entries.into_iter().map(|(key, value)| (key.clone(), any(value)));
            entries.collect::<Map<_, _>>().into()
        }
    }
}

fn float(number: f64) -> Value {
    let word = match number {
        number if number.is_nan() => "NaN",
        f64::INFINITY => "Infinity",
        f64::NEG_INFINITY => "-Infinity",
        // JavaScript writes whole numbers beyond 31 bits as fractions.
        number => return Number::try_i64(number).as_i64().map_or(number.into(), Value::from),
    };
    json!({ "$number": word })
}

/// A sequence of nodes as XML text.
fn xml(chunks: &[Chunk], txn: &impl ReadTxn) -> String {
    let mut written = String::new();
    chunks.iter().for_each(|chunk| write_chunk(chunk, txn, &mut written));
    written
}

fn write_node(out: &Out, txn: &impl ReadTxn, written: &mut String) {
    let Some(branch) = out.try_branch() else { return };
    let tag = match out {
        Out::YXmlElement(element) => Some(name(element.tag())),
        _ => None,
    };
    if let (Some(tag), Out::YXmlElement(element)) = (&tag, out) {
        written.push('<');
        written.push_str(tag);
        let mut attributes: Vec<_> = element.attributes(txn).collect();
        attributes.sort_unstable_by_key(|(key, _)| *key);
        for (key, item) in attributes {
            write_attribute(key, &value(&item, txn), written);
        }
        written.push('>');
    }
    for chunk in roots::chunks(branch, txn) {
        write_chunk(&chunk, txn, written);
    }
    if let Some(tag) = tag {
        written.push_str("</");
        written.push_str(&tag);
        written.push('>');
    }
}

/// Formats become elements around their text, `<bold>…</bold>`; one whose value is an object has
/// its entries as attributes, `<link href="…">…</link>`.
fn write_chunk(chunk: &Chunk, txn: &impl ReadTxn, written: &mut String) {
    let formats = chunk.attributes.as_deref();
    for (key, format) in formats.into_iter().flat_map(sorted) {
        written.push('<');
        written.push_str(&name(key));
        if let Any::Map(entries) = format {
            let mut entries: Vec<_> = entries.iter().collect();
            entries.sort_unstable_by_key(|(key, _)| *key);
            entries.iter().for_each(|(key, item)| write_attribute(key, &any(item), written));
        }
        written.push('>');
    }
    match (&chunk.insert, roots::characters(chunk)) {
        (_, Some(text)) => escape(text, written),
        (Out::Any(embedded), None) => escape(&any(embedded).to_string(), written),
        (Out::YXmlElement(_) | Out::YXmlFragment(_) | Out::YXmlText(_), None) => {
            write_node(&chunk.insert, txn, written);
        }
        (other, None) => escape(&value(other, txn).to_string(), written),
    }
    for (key, _) in formats.into_iter().flat_map(sorted).rev() {
        written.push_str("</");
        written.push_str(&name(key));
        written.push('>');
    }
}

fn write_attribute(key: &str, value: &Value, written: &mut String) {
    written.push(' ');
    written.push_str(&name(key));
    written.push_str("=\"");
    match value {
        Value::String(text) => escape(text, written),
        other => escape(&other.to_string(), written),
    }
    written.push('"');
}

/// A name that XML can have: editors choose theirs freely.
fn name(name: &str) -> String {
    let fits = |(at, c): (usize, char)| {
        c.is_alphabetic() || "_:".contains(c) || (at > 0 && (c.is_numeric() || "-.".contains(c)))
    };
    let name: String =
        name.chars().enumerate().map(|(at, c)| if fits((at, c)) { c } else { '_' }).collect();
    if name.is_empty() { "_".to_owned() } else { name }
}

fn escape(text: &str, written: &mut String) {
    for c in text.chars() {
        match c {
            '&' => written.push_str("&amp;"),
            '<' => written.push_str("&lt;"),
            '>' => written.push_str("&gt;"),
            '"' => written.push_str("&quot;"),
            c => written.push(c),
        }
    }
}
