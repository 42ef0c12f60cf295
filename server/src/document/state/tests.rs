use proptest::prelude::*;
use sheaf_protocol::varint;
use yrs::{Array, Map, Text, TextPrelim, Xml, XmlElementPrelim, XmlFragment};

use super::*;

fn client(id: u64) -> Doc {
    let mut options = Options::with_client_id(ClientID::new(id));
    options.offset_kind = OffsetKind::Utf16;
    Doc::with_options(options)
}

fn edit(doc: &Doc, edit: impl FnOnce(&mut yrs::TransactionMut<'_>)) -> Vec<u8> {
    let mut txn = doc.transact_mut();
    edit(&mut txn);
    txn.encode_update_v1()
}

fn insert(doc: &Doc, at: u32, text: &str) -> Vec<u8> {
    edit(doc, |txn| txn.get_or_insert_text("content").insert(txn, at, text))
}

fn take(state: &mut State, bytes: &[u8], source: Source) -> Option<(Vec<u8>, bool)> {
    let update = scan::update(bytes).expect("scans");
    let plan = state.plan(&update, source).expect("plans")?;
    let (taken, has_gap) = (plan.bytes.to_vec(), plan.has_gap);
    state.integrate(plan).expect("merges");
    Some((taken, has_gap))
}

/// A text that makes a state panic. No bytes are known that get past the guard and do.
pub(crate) const BREAKS: &str = "this breaks the state";

pub(super) fn panic_on_marker(bytes: &[u8]) {
    let is_marked = bytes.windows(BREAKS.len()).any(|part| part == BREAKS.as_bytes());
    assert!(!is_marked, "the marker was found");
}

/// Updates of one client that types these parts one after the other.
pub(crate) fn typed(id: u64, parts: &[&str]) -> Vec<Vec<u8>> {
    let doc = client(id);
    let append = |part: &&str| {
        edit(&doc, |txn| {
            let text = txn.get_or_insert_text("content");
            text.push(txn, part);
        })
    };
    parts.iter().map(append).collect()
}

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    digits.chunks(2).map(byte).collect()
}

#[test]
fn an_edit_is_taken_as_received() {
    let doc = client(7);
    let update = insert(&doc, 0, "hello");
    let mut state = State::new();
    assert_eq!(take(&mut state, &update, Source::Update), Some((update.clone(), false)));
    assert_eq!(state.text("content").as_deref(), Some("hello"));
    let plan = state.plan(&scan::update(&update).unwrap(), Source::Update).unwrap().unwrap();
    assert!(plan.spans.is_empty());
    assert!(state.integrate(plan).unwrap().is_none(), "a repeat changes nothing");
}

#[test]
fn a_live_edit_with_a_gap_is_dropped_whole() {
    let doc = client(7);
    let (first, second) = (insert(&doc, 0, "a"), insert(&doc, 1, "b"));
    let mut state = State::new();
    assert_eq!(take(&mut state, &second, Source::Update), None);
    assert_eq!(state.clocks().get(&7), None);
    take(&mut state, &first, Source::Update).unwrap();
    take(&mut state, &second, Source::Update).unwrap();
    assert_eq!(state.text("content").as_deref(), Some("ab"));
}

#[test]
fn an_edit_that_needs_another_client_s_missing_blocks_is_a_gap() {
    let (a, b) = (client(1), client(2));
    let first = insert(&a, 0, "a");
    b.transact_mut().apply_update(yrs::Update::decode_v1(&first).unwrap()).unwrap();
    let second = insert(&b, 1, "b");
    let mut state = State::new();
    assert_eq!(take(&mut state, &second, Source::Update), None);
    take(&mut state, &first, Source::Update).unwrap();
    assert!(take(&mut state, &second, Source::Update).is_some());
}

#[test]
fn a_delete_of_what_is_not_held_is_a_gap() {
    let doc = client(1);
    let first = insert(&doc, 0, "abc");
    let delete = edit(&doc, |txn| {
        let text = txn.get_or_insert_text("content");
        text.remove_range(txn, 0, 2);
    });
    let mut state = State::new();
    assert_eq!(take(&mut state, &delete, Source::Update), None);
    take(&mut state, &first, Source::Update).unwrap();
    assert!(take(&mut state, &delete, Source::Update).is_some());
    assert_eq!(state.text("content").as_deref(), Some("c"));
}

#[test]
fn an_answer_is_cut_at_its_gaps_and_at_all_that_needs_them() {
    let (a, b, c) = (client(1), client(2), client(3));
    let lost = insert(&a, 0, "lost");
    let kept = insert(&c, 0, "kept ");
    for bytes in [&lost, &kept] {
        b.transact_mut().apply_update(yrs::Update::decode_v1(bytes).unwrap()).unwrap();
    }
    insert(&b, 2, "!");
    // All that b has, but for what `a` wrote.
    let mut known = StateVector::default();
    known.set_max(ClientID::new(1), 4);
    let answer = b.transact().encode_diff_v1(&known);
    let mut state = State::new();
    let (taken, has_gap) = take(&mut state, &answer, Source::Step2).unwrap();
    assert!(has_gap);
    assert!(scan::update(&taken).is_ok());
    assert_eq!(state.text("content").as_deref(), Some("kept "));
    take(&mut state, &lost, Source::Update).unwrap();
    let (_, has_gap) = take(&mut state, &answer, Source::Step2).unwrap();
    assert!(!has_gap);
    let whole = b.transact();
    let expected = whole.get_text("content").unwrap().get_string(&whole);
    assert_eq!(state.text("content"), Some(expected));
}

#[test]
fn a_skip_that_the_document_covers_is_no_gap() {
    let doc = client(5);
    let parts: Vec<_> = (0..3).map(|at| insert(&doc, at, "x")).collect();
    // Block 0, a Skip of one clock, block 2.
    let mut merged = vec![1, 3, 5, 0];
    let block = |bytes: &[u8]| bytes[4..bytes.len() - 1].to_vec();
    merged.extend(block(&parts[0]));
    merged.extend([10, 1]);
    merged.extend(block(&parts[2]));
    merged.push(0);
    let mut state = State::new();
    let (_, has_gap) = take(&mut state, &merged, Source::Step2).unwrap();
    assert!(has_gap);
    assert_eq!(state.text("content").as_deref(), Some("x"));
    assert_eq!(take(&mut state, &merged, Source::Update), None);
    take(&mut state, &parts[1], Source::Update).unwrap();
    let (_, has_gap) = take(&mut state, &merged, Source::Step2).unwrap();
    assert!(!has_gap);
    assert_eq!(state.text("content").as_deref(), Some("xxx"));
}

#[test]
fn hostile_inputs_change_nothing() {
    let mut state = State::new();
    insert_into(&mut state, "hello");
    let before = (state.encode(), state.state_vector());
    for input in [
        "01 01 00 00 02 00 00 00 00 00 00",
        "01 01 01 ff ff ff ff 0f 04 01 01 74 01 78 00",
        "01 01 01 ff ff ff ff 07 04 01 01 74 01 78 00",
        "01 01 05 fa ff ff ff 0f 04 01 01 74 04 61 62 63 64 00",
    ] {
        let bytes = hex(input);
        if let Ok(update) = scan::update(&bytes) {
            for source in [Source::Update, Source::Step2] {
                if let Ok(Some(plan)) = state.plan(&update, source) {
                    state.integrate(plan).expect("merges");
                }
            }
        }
        assert_eq!((state.encode(), state.state_vector()), before, "{input}");
    }
}

fn insert_into(state: &mut State, text: &str) {
    let doc = client(5);
    let bytes = insert(&doc, 0, text);
    take(state, &bytes, Source::Update).unwrap();
}

#[test]
fn two_sections_of_one_client_are_refused() {
    let mut state = State::new();
    let bytes = hex("02 01 05 00 04 01 01 74 01 61 01 05 00 04 01 01 74 01 62 00");
    let update = scan::update(&bytes).expect("each section scans");
    assert!(state.plan(&update, Source::Step2).is_err());
    assert!(
        state
            .integrate(
                state.plan(&scan::update(&[0, 0]).unwrap(), Source::Update).unwrap().unwrap()
            )
            .is_ok()
    );
}

#[test]
fn legacy_json_is_rewritten_to_what_the_library_reads() {
    let bytes = hex("01 01 01 00 02 01 01 74 02 01 31 01 32 00");
    let mut state = State::new();
    let (taken, has_gap) = take(&mut state, &bytes, Source::Update).unwrap();
    assert!(!has_gap && taken != bytes);
    assert_eq!(state.clocks().get(&1), Some(&2));
    assert_eq!(state.state_vector(), vec![1, 1, 2]);
    let mut again = State::new();
    again.replay(&state.encode()).unwrap();
    let txn = again.doc.transact();
    assert_eq!(txn.get_array("t").map(|array| array.len(&txn)), Some(2));
}

#[test]
fn a_chain_of_types_is_bounded_over_many_frames() {
    let mut state = State::new();
    let mut refused_at = None;
    for level in 0..200_u32 {
        // An array in an array in …: each the only element of the one before.
        let mut bytes = vec![1, 1, 9];
        varint::write_uint(&mut bytes, u64::from(level));
        match level {
            0 => bytes.extend([7, 1, 1, b't', 0]),
            _ => {
                bytes.extend([7, 0, 9]);
                varint::write_uint(&mut bytes, u64::from(level - 1));
                bytes.push(0);
            }
        }
        bytes.push(0);
        let update = scan::update(&bytes).expect("scans");
        match state.plan(&update, Source::Update) {
            Ok(plan) => drop(state.integrate(plan.expect("no gap")).unwrap()),
            Err(_) => {
                refused_at = Some(level);
                break;
            }
        }
    }
    assert_eq!(refused_at, Some(129));
    take(&mut state, &[0, 1, 9, 1, 0, 1], Source::Update).unwrap();
    state.encode();
}

#[test]
fn strings_between_nested_types_do_not_hide_their_depth() {
    // A type's origin is a string that lives in the type before it: each pair is a level deeper,
    // by way of the path that joins appends.
    let mut state = State::new();
    let mut clock = 0;
    let mut take_one = |bytes: Vec<u8>| -> bool {
        let update = scan::update(&bytes).expect("scans");
        let Ok(plan) = state.plan(&update, Source::Update) else { return false };
        let plan = plan.expect("no gap");
        state.accept(plan, update.text()).expect("accepted");
        true
    };
    assert!(take_one(vec![1, 1, 9, 0, 7, 1, 1, b't', 0, 0]));
    let mut levels = 0;
    loop {
        let id = |clock: u32| {
            let mut out = vec![9];
            varint::write_uint(&mut out, u64::from(clock));
            out
        };
        clock += 1;
        let string = [vec![1, 1], id(clock), vec![4, 0], id(clock - 1), vec![1, b'x', 0]].concat();
        clock += 1;
        let nested = [vec![1, 1], id(clock), vec![0x87], id(clock - 1), vec![0, 0]].concat();
        if !take_one(string) || !take_one(nested) {
            break;
        }
        levels += 1;
        assert!(levels <= 200, "the chain is not bounded");
    }
    assert_eq!(levels, 128);
}

#[test]
fn two_lists_of_deletes_for_one_client_are_refused() {
    let mut state = State::new();
    insert_into(&mut state, "hello");
    let update = scan::update(&[0, 2, 5, 1, 0, 1, 5, 1, 3, 1]).expect("each list scans");
    assert!(state.plan(&update, Source::Update).is_err());
}

#[test]
fn a_state_larger_than_any_frame_is_read_back() {
    let mut state = State::new();
    let ids_max = u64::from(sheaf_protocol::limits::NEW_CLIENT_IDS_PER_FRAME_MAX);
    for half in 0..2 {
        let mut bytes = Vec::new();
        varint::write_uint(&mut bytes, ids_max);
        for id in (0..ids_max).rev().map(|id| 1 + half * ids_max + id) {
            bytes.push(1);
            varint::write_uint(&mut bytes, id);
            bytes.extend([0, 0, 1]);
        }
        bytes.push(0);
        take(&mut state, &bytes, Source::Update).unwrap();
    }
    let whole = state.encode();
    assert!(scan::update(&whole).is_err(), "no frame may hold it");
    let mut again = State::new();
    again.replay(&whole).unwrap();
    assert_eq!(again.clocks(), state.clocks());
}

#[test]
fn deletions_are_looked_up() {
    let mut state = State::new();
    insert_into(&mut state, "hello world");
    take(&mut state, &[0, 1, 5, 2, 0, 2, 4, 3], Source::Update).unwrap();
    let mut lacks = |ranges: &[u8]| {
        let bytes = [&[0, 1, 5, (ranges.len() / 2) as u8], ranges].concat();
        state.lacks_deletes(&scan::update(&bytes).unwrap())
    };
    for held in [&[0, 2][..], &[1, 1], &[4, 3], &[0, 2, 5, 2]] {
        assert!(!lacks(held), "{held:?}");
    }
    for news in [&[0, 3][..], &[2, 1], &[3, 2], &[6, 2], &[0, 2, 8, 1]] {
        assert!(lacks(news), "{news:?}");
    }
}

#[test]
fn what_changes_nothing_is_not_charged() {
    let mut state = State::new();
    insert_into(&mut state, "hello");
    let delete = [0, 1, 5, 1, 0, 2];
    take(&mut state, &delete, Source::Update).unwrap();
    let charged = state.live_bytes();
    for _ in 0..100 {
        take(&mut state, &delete, Source::Update).unwrap();
    }
    assert_eq!(state.live_bytes(), charged);
}

#[test]
fn chained_appends_joined_are_the_same_document() {
    let doc = client(9);
    let mut one_by_one = State::new();
    let mut joined = State::new();
    let first = insert(&doc, 0, "ab");
    take(&mut one_by_one, &first, Source::Update).unwrap();
    let updates: Vec<_> = (0..20_u32)
        .map(|at| {
            insert(&doc, 2 + 2 * at, "é🙂"[..].get(if at % 2 == 0 { 0..2 } else { 2..6 }).unwrap())
        })
        .collect();
    take(&mut joined, &first, Source::Update).unwrap();
    let mut extended = 0;
    for bytes in &updates {
        take(&mut one_by_one, bytes, Source::Update);
        let update = scan::update(bytes).unwrap();
        let Some(block) = update.text() else { continue };
        if joined.extend(&update, block) {
            extended += 1;
            continue;
        }
        if let Some(plan) = joined.plan(&update, Source::Update).unwrap() {
            joined.accept(plan, Some(block)).expect("accepted");
        }
    }
    assert!(extended > 10, "{extended}");
    assert_eq!(joined.encode(), one_by_one.encode());
    assert_eq!(joined.clocks(), one_by_one.clocks());
}

#[test]
fn what_waits_is_a_few_pages_however_large_the_updates_are() {
    let doc = client(9);
    let mut state = State::new();
    let page = "0123456789".repeat(100_000);
    let parts = ["a", page.as_str(), "b", page.as_str(), "c"];
    let mut at = 0;
    for part in parts {
        let bytes = insert(&doc, at, part);
        at += part.len() as u32;
        let update = scan::update(&bytes).unwrap();
        let block = update.text().unwrap();
        if !state.extend(&update, block) {
            let plan = state.plan(&update, Source::Update).unwrap().unwrap();
            state.accept(plan, Some(block)).expect("accepted");
        }
        assert!(state.waiting_bytes() <= 32 * 1024, "{} wait", state.waiting_bytes());
    }
    assert_eq!(state.text("content"), Some(parts.concat()));
}

#[test]
fn a_state_vector_within_an_emoji_is_answered() {
    let mut state = State::new();
    insert_into(&mut state, "a🙂b");
    for clock in 0..5 {
        let bytes = [1, 5, clock];
        let known = scan::state_vector(&bytes).unwrap();
        assert!(scan::update(&state.diff(&known)).is_ok(), "clock {clock}");
    }
}

#[derive(Debug, Clone)]
enum Op {
    Insert(u8, u16, String),
    Remove(u8, u16, u8),
    Put(u8, u8),
    Push(u8),
    Nest(u8, u16),
    Exchange(u8, u8),
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        6 => (any::<u8>(), any::<u16>(), "[a-zé🙂\n]{1,4}")
            .prop_map(|(d, at, text)| Op::Insert(d, at, text)),
        3 => (any::<u8>(), any::<u16>(), 1..4_u8).prop_map(|(d, at, len)| Op::Remove(d, at, len)),
        1 => (any::<u8>(), any::<u8>()).prop_map(|(d, key)| Op::Put(d, key)),
        1 => any::<u8>().prop_map(Op::Push),
        1 => (any::<u8>(), any::<u16>()).prop_map(|(d, at)| Op::Nest(d, at)),
        2 => (any::<u8>(), any::<u8>()).prop_map(|(a, b)| Op::Exchange(a, b)),
    ]
}

fn run_op(docs: &[Doc], op: &Op) -> Option<Vec<u8>> {
    let doc = |at: &u8| &docs[usize::from(*at) % docs.len()];
    Some(match op {
        Op::Insert(d, at, text) => edit(doc(d), |txn| {
            let root = txn.get_or_insert_text("content");
            let at = u32::from(*at) % (root.len(txn) + 1);
            root.insert(txn, at, text);
        }),
        Op::Remove(d, at, len) => edit(doc(d), |txn| {
            let root = txn.get_or_insert_text("content");
            let all = root.len(txn);
            let at = u32::from(*at) % (all + 1);
            root.remove_range(txn, at, u32::from(*len).min(all - at));
        }),
        Op::Put(d, key) => edit(doc(d), |txn| {
            let root = txn.get_or_insert_map("map");
            root.insert(txn, format!("k{}", key % 4), i64::from(*key));
        }),
        Op::Push(d) => edit(doc(d), |txn| {
            let root = txn.get_or_insert_array("array");
            root.push_back(txn, TextPrelim::new("nested"));
        }),
        Op::Nest(d, at) => edit(doc(d), |txn| {
            let root = txn.get_or_insert_xml_fragment("xml");
            let at = u32::from(*at) % (root.len(txn) + 1);
            let element = root.insert(txn, at, XmlElementPrelim::empty("p"));
            element.insert_attribute(txn, "a", "b");
            element.push_back(txn, XmlElementPrelim::empty("b"));
        }),
        Op::Exchange(a, b) => {
            let (a, b) = (doc(a), doc(b));
            let bytes = a.transact().encode_diff_v1(&StateVector::default());
            b.transact_mut().apply_update(yrs::Update::decode_v1(&bytes).unwrap()).unwrap();
            return None;
        }
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    /// Updates in any order, some twice: what is dropped for a gap is brought by an answer, and
    /// the state is the one every honest replica has.
    #[test]
    fn any_order_ends_in_the_same_document(
        ops in prop::collection::vec(op(), 1..60),
        order in prop::collection::vec(any::<prop::sample::Index>(), 0..60),
    ) {
        let docs: Vec<Doc> = (1..4).map(client).collect();
        let updates: Vec<Vec<u8>> = ops.iter().filter_map(|op| run_op(&docs, op)).collect();
        let mut state = State::new();
        for index in order.iter().filter(|_| !updates.is_empty()) {
            take(&mut state, &updates[index.index(updates.len())], Source::Update);
            prop_assert!(!state.doc.transact().has_missing_updates());
        }
        for doc in &docs {
            let known = StateVector::decode_v1(&state.state_vector()).unwrap();
            let answer = doc.transact().encode_diff_v1(&known);
            take(&mut state, &answer, Source::Step2).unwrap();
        }
        for doc in &docs {
            let known = StateVector::decode_v1(&state.state_vector()).unwrap();
            let answer = doc.transact().encode_diff_v1(&known);
            let taken = take(&mut state, &answer, Source::Step2);
            prop_assert_eq!(taken.map(|(_, gap)| gap), Some(false));
        }
        let all = client(99);
        for doc in &docs {
            let bytes = doc.transact().encode_diff_v1(&StateVector::default());
            all.transact_mut().apply_update(yrs::Update::decode_v1(&bytes).unwrap()).unwrap();
        }
        let expected = all.transact();
        let text = expected.get_text("content").map(|text| text.get_string(&expected));
        prop_assert_eq!(state.text("content").unwrap_or_default(), text.unwrap_or_default());
        prop_assert_eq!(
            StateVector::decode_v1(&state.state_vector()).unwrap(), expected.state_vector()
        );
        let mut again = State::new();
        again.replay(&state.encode()).unwrap();
        prop_assert_eq!(again.text("content"), state.text("content"));
    }
}

/// Takes updates in order, each for itself or, where they can be, as one. How many were joined.
fn take_all(state: &mut State, updates: &[Vec<u8>]) -> usize {
    let scanned: Vec<_> = updates.iter().map(|bytes| scan::update(bytes).unwrap()).collect();
    let joined = sheaf_protocol::join::join(&scanned.iter().collect::<Vec<_>>());
    let is_taken = joined.is_some_and(|joined| take(state, &joined, Source::Update).is_some());
    if is_taken {
        return updates.len();
    }
    for bytes in updates {
        take(state, bytes, Source::Update);
    }
    0
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    /// What comes in one read is taken as one, and nobody can tell.
    #[test]
    fn joined_updates_are_the_same_document(
        ops in prop::collection::vec(op(), 1..60),
        reads in prop::collection::vec(1..9_usize, 60),
    ) {
        joined_is_the_same(&ops, &reads);
    }
}

/// What is written is the same, character by character; where the library cuts its blocks may
/// differ, by what stood where when a later one came.
fn joined_is_the_same(ops: &[Op], reads: &[usize]) {
    let docs: Vec<Doc> = (1..4).map(client).collect();
    let updates: Vec<Vec<u8>> = ops.iter().filter_map(|op| run_op(&docs, op)).collect();
    let (mut each, mut joined) = (State::new(), State::new());
    let mut left = updates.as_slice();
    for read in reads {
        let (now, later) = left.split_at(left.len().min(*read));
        take_all(&mut joined, now);
        left = later;
    }
    for bytes in &updates {
        take(&mut each, bytes, Source::Update);
    }
    assert_eq!(joined.roots(), each.roots());
    assert_eq!(joined.clocks(), each.clocks());
    assert_eq!(joined.doc.transact().snapshot(), each.doc.transact().snapshot());
    let known = scan::state_vector(&[0]).unwrap();
    let [joined, each] = [joined, each].map(|mut state| characters(&state.diff(&known)));
    assert_eq!(joined, each);
}

/// The characters of an update's texts by the id of each, whatever blocks they stand in.
fn characters(update: &[u8]) -> Vec<(Id, u16)> {
    let mut found = Vec::new();
    for event in scan::update(update).unwrap().events() {
        if let scan::Event::Block(block) = event
            && let scan::Content::String(text) = block.content
        {
            let ids = (block.id.clock..).map(|clock| Id { clock, ..block.id });
            found.extend(ids.zip(text.encode_utf16()));
        }
    }
    found
}

#[test]
fn joined_updates_may_leave_fewer_blocks() {
    let insert = |doc: u8, at: u16, text: &str| Op::Insert(doc, at, text.to_owned());
    let ops = [
        insert(2, 0, "🙂aa"),
        insert(2, 0, "é\n\n"),
        insert(1, 0, "🙂"),
        insert(1, 0, "🙂"),
        insert(1, 0, "a"),
        Op::Remove(0, 0, 1),
        insert(0, 0, "🙂é🙂é"),
        Op::Exchange(0, 2),
        insert(0, 18871, "a"),
        insert(2, 47424, "é"),
        insert(0, 1032, "🙂"),
        Op::Put(0, 0),
        insert(0, 1049, "a"),
        insert(0, 2858, "🙂"),
    ];
    joined_is_the_same(&ops, &[3, 1, 5, 1, 1, 1, 1, 1]);
}

#[test]
fn a_burst_with_deletions_and_two_authors_is_joined() {
    let (one, two) = (client(1), client(2));
    let mut updates = typed(3, &["shared ", "text"]);
    for doc in [&one, &two] {
        for bytes in &updates {
            doc.transact_mut().apply_update(yrs::Update::decode_v1(bytes).unwrap()).unwrap();
        }
    }
    updates.extend([insert(&one, 3, "x"), insert(&two, 5, "y"), insert(&one, 4, "z")]);
    updates.push(edit(&two, |txn| {
        let text = txn.get_or_insert_text("content");
        text.remove_range(txn, 1, 5);
    }));
    let (mut each, mut joined) = (State::new(), State::new());
    assert_eq!(take_all(&mut joined, &updates), updates.len());
    updates.iter().for_each(|bytes| drop(take(&mut each, bytes, Source::Update)));
    assert_eq!(joined.text("content"), each.text("content"));
    assert_eq!(joined.clocks(), each.clocks());
}

#[test]
fn values_of_a_map_that_are_texts_replace_each_other_while_they_wait_too() {
    // A client may chain texts under one key: each stands for what the one before it was.
    let first = [1, 1, 5, 0, 0x24, 1, 1, b'm', 1, b'k', 1, b'a', 0];
    let second = [1, 1, 5, 1, 0xa4, 5, 0, 1, b'b', 0];
    let (mut waiting, mut at_once) = (State::new(), State::new());
    for bytes in [&first[..], &second] {
        take(&mut at_once, bytes, Source::Update).unwrap();
        let update = scan::update(bytes).unwrap();
        if update.text().is_some_and(|block| waiting.extend(&update, block)) {
            continue;
        }
        let plan = waiting.plan(&update, Source::Update).unwrap().unwrap();
        waiting.accept(plan, update.text()).expect("accepted");
    }
    assert_eq!(waiting.encode(), at_once.encode());
}
