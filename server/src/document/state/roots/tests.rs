use serde_json::{Value, json};
use sheaf_protocol::limits::{ANY_DEPTH_MAX, TYPE_DEPTH_MAX};
use yrs::block::ClientID;
use yrs::{
    Any, Array, ArrayPrelim, Doc, MapPrelim, MapRef, Options, TextPrelim, Transact, WriteTxn, Xml,
    XmlElementPrelim, XmlFragment, XmlTextPrelim,
};

use super::*;
use crate::document::state::State;

fn doc() -> Doc {
    Doc::with_options(Options::with_client_id(ClientID::new(7)))
}

/// What the server makes of what somebody wrote: it knows no types of roots.
fn received(edit: impl FnOnce(&mut yrs::TransactionMut<'_>)) -> State {
    let doc = doc();
    let mut txn = doc.transact_mut();
    edit(&mut txn);
    let mut state = State::new();
    state.replay(&txn.encode_update_v1()).expect("merges");
    state
}

fn everything() -> State {
    received(|txn| {
        txn.get_or_insert_text("content").insert(txn, 0, "a 😀 text");
        let list = txn.get_or_insert_array("list");
        list.push_back(txn, "first");
        list.push_back(txn, Any::Buffer([1, 2, 255].into()));
        list.push_back(txn, Any::Undefined);
        list.push_back(txn, Any::from(f64::NAN));
        list.push_back(txn, (1i64 << 53) - 1);
        list.push_back(txn, MapPrelim::from([("deep", 1.5)]));
        list.push_back(txn, TextPrelim::new("a text in a list"));
        let map = txn.get_or_insert_map("map");
        map.insert(txn, "b", Any::from(vec![Any::Null, Any::from(true)]));
        map.insert(txn, "a", ArrayPrelim::from([1, 2]));
        let xml = txn.get_or_insert_xml_fragment("prosemirror");
        let paragraph = xml.push_back(txn, XmlElementPrelim::empty("paragraph"));
        paragraph.insert_attribute(txn, "class", "a \"b\" <c>");
        let text = paragraph.push_back(txn, XmlTextPrelim::new("1 < 2 & 3"));
        let bold = [("bold".into(), Any::from(true))].into_iter().collect();
        text.format(txn, 0, 1, bold);
        let gone = txn.get_or_insert_text("gone");
        gone.insert(txn, 0, "x");
        gone.remove_range(txn, 0, 1);
    })
}

#[test]
fn every_kind_of_root_is_read() {
    let roots = Value::Object(everything().roots());
    let list = json!([
        "first",
        { "$binary": "AQL/" },
        { "$undefined": true },
        { "$number": "NaN" },
        (1i64 << 53) - 1,
        { "deep": 1.5 },
        "a text in a list",
    ]);
    let xml =
        "<paragraph class=\"a &quot;b&quot; &lt;c&gt;\"><bold>1</bold> &lt; 2 &amp; 3</paragraph>";
    let expected = json!({
        "content": { "type": "text", "value": "a 😀 text" },
        "gone": { "type": "empty", "value": null },
        "list": { "type": "array", "value": list },
        "map": { "type": "map", "value": { "a": [1, 2], "b": [null, true] } },
        "prosemirror": { "type": "xml", "value": xml },
    });
    assert_eq!(roots, expected);
}

#[test]
fn reading_changes_nothing_of_what_is_encoded() {
    let mut state = everything();
    let before = state.encode();
    let mut named = |name: &str| {
        state.roots();
        state.content(name);
        state.text(name);
    };
    ["content", "list", "map", "prosemirror", "gone", "none"].iter().for_each(|name| named(name));
    assert_eq!(state.encode().len(), before.len());
    let mut again = State::new();
    again.replay(&state.encode()).expect("merges");
    assert_eq!(again.roots(), state.roots());
    assert_eq!(again.clocks(), state.clocks());
}

#[test]
fn the_text_is_the_configured_root_or_the_one_that_has_content() {
    let mut state = everything();
    let mut content = |name| state.content(name);
    let text = "a 😀 text".to_owned();
    assert_eq!(content("content"), Content::Text { root: "content".to_owned(), text });
    assert_eq!(content("list"), Content::Other { root: "list".to_owned() });
    let all = "content,list,map,prosemirror".to_owned();
    assert_eq!(content("gone"), Content::Other { root: all.clone() });
    assert_eq!(content("none"), Content::Other { root: all });
    assert_eq!(State::new().content("content"), Content::Empty);
    let mut monaco = received(|txn| txn.get_or_insert_text("monaco").insert(txn, 0, "x"));
    let one = Content::Text { root: "monaco".to_owned(), text: "x".to_owned() };
    assert_eq!(monaco.content("content"), one);
    let mut both = received(|txn| {
        txn.get_or_insert_text("both").insert(txn, 0, "x");
        txn.get_or_insert_array("both").push_back(txn, 1);
    });
    assert_eq!(both.content("both"), Content::Other { root: "both".to_owned() });
}

#[test]
fn the_deepest_document_that_is_let_in_can_be_read_on_a_small_stack() {
    let mut state = received(|txn| {
        let mut map = txn.get_or_insert_map("map");
        for _ in 1..TYPE_DEPTH_MAX {
            map = map.insert(txn, "in", MapPrelim::default());
        }
        let deep = (1..ANY_DEPTH_MAX).fold(Any::Null, |inner, _| Any::from(vec![inner]));
        MapRef::insert(&map, txn, "value", deep);
        let mut node = {
            let xml = txn.get_or_insert_xml_fragment("xml");
            xml.push_back(txn, XmlElementPrelim::empty("p"))
        };
        for _ in 2..TYPE_DEPTH_MAX {
            node = node.push_back(txn, XmlElementPrelim::empty("p"));
        }
    });
    let thread = std::thread::Builder::new().stack_size(1 << 20);
    let read = move || {
        let roots = state.roots();
        (roots["map"].to_string().len(), roots["xml"]["value"].as_str().map(str::len))
    };
    let (map, xml) = thread.spawn(read).expect("a thread").join().expect("it is read");
    assert!(map > TYPE_DEPTH_MAX * 7 && xml == Some((TYPE_DEPTH_MAX - 1) * 7), "{map} {xml:?}");
}
