use super::*;
use crate::error::{Code, Refusal};
use crate::ids::Id;
use crate::limits::*;
use crate::varint::{Reader, write_buffer, write_text, write_uint};

/// One section of client 1 from clock 0 with these blocks, and no deletes.
fn section(blocks: &[&[u8]]) -> Vec<u8> {
    let mut out = vec![1];
    write_uint(&mut out, blocks.len() as u64);
    out.extend_from_slice(&[1, 0]);
    out.extend(blocks.concat());
    out.push(0);
    out
}

fn code(bytes: &[u8]) -> Result<(), Code> {
    update(bytes).map(|_| ()).map_err(|refusal| refusal.code)
}

fn block_of(bytes: &[u8]) -> Block<'_> {
    let found = update(bytes).expect("well formed").events().find_map(|event| match event {
        Event::Block(block) => Some(block),
        _ => None,
    });
    found.expect("one block")
}

/// A block under root `t` with the content kind and bytes given.
fn rooted(kind: u8, content: &[u8]) -> Vec<u8> {
    [&[kind, 1, 1, b't'], content].concat()
}

const ID: Id = Id { client: 1, clock: 0 };

#[test]
fn an_insertion_is_read_to_the_last_byte() {
    let bytes = [1, 1, 7, 0, 4, 1, 1, b't', 2, b'h', b'i', 1, 7, 1, 0, 1];
    let update = update(&bytes).expect("well formed");
    assert_eq!((update.sections(), update.blocks(), update.deletes()), (1, 1, 1));
    assert_eq!(update.bytes(), bytes);
    let block = Block {
        id: Id { client: 7, clock: 0 },
        len: 2,
        origin: None,
        right_origin: None,
        parent: Parent::Root("t"),
        key: None,
        content: Content::String("hi"),
        bytes: &bytes[4..11],
        content_at: 4,
    };
    assert_eq!(
        update.events().collect::<Vec<_>>(),
        [
            Event::Section { client: 7, clock: 0, blocks: 1 },
            Event::Block(block),
            Event::Delete { client: 7, clock: 0, len: 1 },
        ]
    );
    assert_eq!((block.content_bytes(), block.end()), (&b"\x02hi"[..], 2));
}

#[test]
fn the_empty_update_is_well_formed() {
    assert!(update(&[0, 0]).is_ok_and(|update| update.is_empty()));
    assert_eq!(code(&[]), Err(Code::Malformed));
    assert_eq!(code(&[0]), Err(Code::Malformed));
    assert_eq!(code(&[0, 0, 0]), Err(Code::Malformed));
}

#[test]
fn origins_parents_and_keys_are_read() {
    let chained = section(&[&rooted(4, b"\x01a"), &[0xc4, 1, 0, 2, 9, 1, b'b']]);
    let blocks: Vec<_> = update(&chained).expect("well formed").events().collect();
    let Event::Block(second) = blocks[2] else { panic!("a block") };
    assert_eq!(second.id, Id { client: 1, clock: 1 });
    assert_eq!(second.needs().collect::<Vec<_>>(), [ID, Id { client: 2, clock: 9 }]);
    assert_eq!(second.parent, Parent::Inherited);

    let keyed = section(&[&[0x28, 0, 2, 5, 1, b'k', 1, 126]]);
    let block = block_of(&keyed);
    assert_eq!(block.parent, Parent::Item(Id { client: 2, clock: 5 }));
    assert_eq!(block.key, Some("k"));
    assert_eq!(block.content, Content::Any { count: 1, bytes: &[126] });

    // With an origin the key bit stands but no key is written.
    let inherited = section(&[&[0xa8, 2, 5, 1, 126]]);
    assert_eq!(block_of(&inherited).key, None);
}

#[test]
fn every_kind_of_content_is_read() {
    let any = [118, 1, 1, b'k', 117, 2, 125, 1, 119, 1, b'v'];
    let doc = [&[1, b'g'][..], &any].concat();
    let cases: [(u8, &[u8], u32, Content<'_>); 12] = [
        (1, &[5], 5, Content::Deleted),
        (2, b"\x02\x011\x09undefined", 2, Content::Json(b"\x011\x09undefined")),
        (3, &[2, 0, 255], 1, Content::Binary(&[0, 255])),
        (4, "\u{5}a\u{1f600}".as_bytes(), 3, Content::String("a\u{1f600}")),
        (5, b"\x02{}", 1, Content::Embed("{}")),
        (6, b"\x01b\x04true", 1, Content::Format { key: "b", value: "true" }),
        (7, &[2], 1, Content::Type { kind: 2 }),
        (7, b"\x03\x01p", 1, Content::Type { kind: 3 }),
        (7, &[4], 1, Content::Type { kind: 4 }),
        (7, &[6], 1, Content::Type { kind: 6 }),
        (8, &[2, 127, 120], 2, Content::Any { count: 2, bytes: &[127, 120] }),
        (9, &doc, 1, Content::Doc(&doc)),
    ];
    for (kind, bytes, len, content) in cases {
        let update = section(&[&rooted(kind, bytes)]);
        let block = block_of(&update);
        assert_eq!((block.len, block.content, block.content_bytes()), (len, content, bytes));
        for end in 0..update.len() {
            assert_eq!(code(&update[..end]), Err(Code::Malformed), "kind {kind} cut at {end}");
        }
    }
    for (info, content) in [(0, Content::Gc), (10, Content::Skip)] {
        assert_eq!(block_of(&section(&[&[info, 9]])).content, content);
    }
}

#[test]
fn unknown_blocks_contents_and_types_are_refused() {
    for kind in [0, 10, 11, 15, 16, 17, 0x14] {
        let bytes = section(&[&rooted(kind, &[1, 1, 1])]);
        assert_eq!(code(&bytes), Err(Code::Malformed), "kind {kind}");
    }
    // Yjs takes a Gc with an origin's bit for a Gc, yrs refuses it.
    assert_eq!(code(&section(&[&[0x80, 9, 9, 1]])), Err(Code::Malformed));
    for kind in [7, 8, 9, 15, 255] {
        assert_eq!(code(&section(&[&rooted(7, &[kind])])), Err(Code::Malformed), "type {kind}");
    }
    assert_eq!(code(&section(&[&rooted(7, b"\x05\x01h")])), Err(Code::Unsupported));
    assert_eq!(code(&section(&[&[4, 2, 1, b't', 1, b'a']])), Err(Code::Malformed));
}

#[test]
fn blocks_sections_and_deletes_have_elements() {
    for empty in [rooted(1, &[0]), rooted(2, &[0]), rooted(4, &[0]), rooted(8, &[0]), vec![0, 0]] {
        assert_eq!(code(&section(&[&empty])), Err(Code::Malformed));
    }
    assert_eq!(code(&section(&[&[10, 0]])), Err(Code::Malformed));
    assert_eq!(code(&[1, 0, 1, 0, 0]), Err(Code::Malformed));
    assert_eq!(code(&[0, 1, 1, 1, 0, 0]), Err(Code::Malformed));
    assert_eq!(code(&[0, 1, 1, 0]), Ok(()), "Yjs reads a client without deletes");
}

#[test]
fn a_block_that_stands_on_itself_is_refused() {
    // The 11 bytes of reliability.md that poison every later encoding.
    assert_eq!(code(&[1, 1, 0, 0, 2, 0, 0, 0, 0, 0, 0]), Err(Code::Malformed));
    for clock in [0, 5] {
        assert_eq!(code(&section(&[&[0x84, 1, clock, 1, b'a']])), Err(Code::Malformed));
        assert_eq!(code(&section(&[&[0x44, 1, clock, 1, b'a']])), Err(Code::Malformed));
        assert_eq!(code(&section(&[&[4, 0, 1, clock, 1, b'a']])), Err(Code::Malformed));
        assert_eq!(code(&section(&[&[0x84, 2, clock, 1, b'a']])), Ok(()));
    }
}

#[test]
fn clocks_end_below_two_to_the_31() {
    let at = |clock: u64, len: u64| {
        let mut bytes = vec![1, 1, 1];
        write_uint(&mut bytes, clock);
        bytes.push(0);
        write_uint(&mut bytes, len);
        bytes.push(0);
        code(&bytes)
    };
    assert_eq!(at(CLOCK_END - 2, 1), Ok(()));
    assert_eq!(at(CLOCK_END - 1, 1), Err(Code::Malformed));
    assert_eq!(at(0, CLOCK_END - 1), Ok(()));
    assert_eq!(at(1, CLOCK_END - 1), Err(Code::Malformed));
    assert_eq!(at(0, u64::from(u32::MAX)), Err(Code::Malformed));
    assert_eq!(at(u64::from(u32::MAX), 1), Err(Code::Malformed));
    let mut delete = vec![0, 1, 1, 1];
    write_uint(&mut delete, CLOCK_END - 1);
    delete.push(1);
    assert_eq!(code(&delete), Err(Code::Malformed));
}

#[test]
fn client_ids_end_below_two_to_the_53() {
    for (client, expected) in [(CLIENT_ID_END - 1, Ok(())), (CLIENT_ID_END, Err(Code::Malformed))] {
        let mut bytes = vec![1, 1];
        write_uint(&mut bytes, client);
        bytes.extend_from_slice(&[0, 0, 1, 0]);
        assert_eq!(code(&bytes), expected);
    }
}

#[test]
fn counts_never_exceed_the_bytes_left() {
    let bomb = [0x80, 0x88, 0xde, 0xbe, 0x01];
    assert_eq!(code(&bomb), Err(Code::Malformed));
    assert_eq!(code(&[&[1][..], &bomb, &[1, 0, 0, 1, 0]].concat()), Err(Code::Malformed));
    assert_eq!(code(&[&[0, 1, 1][..], &bomb].concat()), Err(Code::Malformed));
    for kind in [2, 3, 4, 5, 8] {
        assert_eq!(code(&section(&[&rooted(kind, &bomb)])), Err(Code::Malformed));
    }
    for kind in [116, 117, 118, 119] {
        let any = [&[1, kind][..], &bomb].concat();
        assert_eq!(code(&section(&[&rooted(8, &any)])), Err(Code::Malformed));
    }
    assert_eq!(state_vector(&bomb).map_err(|refusal| refusal.code).err(), Some(Code::Malformed));
    assert_eq!(awareness(&bomb).map_err(|refusal| refusal.code).err(), Some(Code::Malformed));
}

#[test]
fn values_nest_64_deep_and_no_deeper() {
    for (depth, expected) in [(ANY_DEPTH_MAX, Ok(())), (ANY_DEPTH_MAX + 1, Err(Code::TooLarge))] {
        let arrays = [&[1][..], &[117, 1].repeat(depth), &[126]].concat();
        assert_eq!(code(&section(&[&rooted(8, &arrays)])), expected);
        let maps = [&[1][..], &[118, 1, 0].repeat(depth), &[126]].concat();
        assert_eq!(code(&section(&[&rooted(8, &maps)])), expected);
        let subdocument = [&[1, b'g'][..], &maps[1..]].concat();
        assert_eq!(code(&section(&[&rooted(9, &subdocument)])), expected);
        let mut embed = Vec::new();
        write_text(&mut embed, &format!("{}{}", "[".repeat(depth), "]".repeat(depth)));
        assert_eq!(code(&section(&[&rooted(5, &embed)])), expected);
    }
    let bomb = [&[1][..], &[117, 1].repeat(10_000), &[126]].concat();
    assert_eq!(code(&section(&[&rooted(8, &bomb)])), Err(Code::TooLarge));
}

#[test]
fn siblings_do_not_count_as_depth() {
    let wide = [&[1, 117, 100][..], &[117, 1, 117, 0].repeat(100)].concat();
    assert_eq!(code(&section(&[&rooted(8, &wide)])), Ok(()));
}

#[test]
fn bounds_on_numbers_in_a_frame_hold() {
    let sections = |count: u32| {
        let mut bytes = Vec::new();
        write_uint(&mut bytes, u64::from(count));
        for client in (0..count).rev() {
            bytes.push(1);
            write_uint(&mut bytes, u64::from(client));
            bytes.extend_from_slice(&[0, 0, 1]);
        }
        bytes.push(0);
        bytes
    };
    assert_eq!(code(&sections(NEW_CLIENT_IDS_PER_FRAME_MAX)), Ok(()));
    assert_eq!(code(&sections(NEW_CLIENT_IDS_PER_FRAME_MAX + 1)), Err(Code::TooLarge));

    let repeated = |count: u32, block: &[u8]| {
        let mut bytes = vec![1];
        write_uint(&mut bytes, u64::from(count));
        bytes.extend_from_slice(&[1, 0]);
        bytes.extend(block.repeat(count as usize));
        bytes.push(0);
        code(&bytes)
    };
    let (subdocument, nested) = ([9, 1, 0, 0, 127], [7, 1, 0, 1]);
    assert_eq!(repeated(SUBDOCUMENTS_PER_FRAME_MAX, &subdocument), Ok(()));
    assert_eq!(repeated(SUBDOCUMENTS_PER_FRAME_MAX + 1, &subdocument), Err(Code::TooLarge));
    assert_eq!(repeated(TYPES_PER_FRAME_MAX, &nested), Ok(()));
    assert_eq!(repeated(TYPES_PER_FRAME_MAX + 1, &nested), Err(Code::TooLarge));
}

#[test]
fn keys_of_64_kib_are_the_longest_and_text_is_bounded_by_the_message_alone() {
    let text = |len: usize| {
        let mut bytes = Vec::new();
        write_text(&mut bytes, &"k".repeat(len));
        bytes
    };
    let long = text(KEY_BYTES_MAX + 1);
    let root = [&[4, 1][..], &long, &[1, b'a']].concat();
    let key = [&[0x24, 1, 0][..], &long, &[1, b'a']].concat();
    for block in [root, key, rooted(6, &[&long[..], b"\x04true"].concat())] {
        assert_eq!(code(&section(&[&block])), Err(Code::TooLarge));
    }
    assert_eq!(code(&section(&[&rooted(4, &text(2_000_000))])), Ok(()));
}

#[test]
fn a_client_named_twice_is_found_in_any_order() {
    let mut scratch = Vec::new();
    let mut check = |sections: &[u8], deletes: &[u8]| {
        let mut bytes = vec![sections.len() as u8];
        for client in sections {
            bytes.extend_from_slice(&[1, *client, 0, 0, 1]);
        }
        bytes.push(deletes.len() as u8);
        for client in deletes {
            bytes.extend_from_slice(&[*client, 0]);
        }
        update(&bytes).expect("well formed").check_clients(&mut scratch).is_ok()
    };
    assert!(check(&[3, 2, 1], &[9, 2]));
    assert!(check(&[1, 2, 3], &[2, 9]), "old writers did not sort");
    assert!(!check(&[1, 2, 1], &[]));
    assert!(!check(&[2, 2], &[]));
    assert!(!check(&[2], &[5, 1, 5]));
}

#[test]
fn text_must_be_utf_8_and_embeds_json() {
    assert_eq!(code(&section(&[&rooted(4, &[1, 0xff])])), Err(Code::Malformed));
    assert_eq!(code(&section(&[&rooted(4, b"\x03\xed\xa0\x80")])), Err(Code::Malformed));
    assert_eq!(code(&section(&[&rooted(5, b"\x01{")])), Err(Code::Malformed));
    assert_eq!(code(&section(&[&rooted(6, b"\x01b\x09undefined")])), Err(Code::Malformed));
    assert_eq!(code(&section(&[&rooted(2, b"\x01\x01x")])), Err(Code::Malformed));
}

#[test]
fn refusals_point_at_the_byte() {
    let bytes = section(&[&rooted(5, b"\x03{]}")]);
    assert_eq!(update(&bytes).err(), Some(Refusal::malformed(10, "not JSON")));
}

#[test]
fn state_vectors_are_read_whole() {
    let vector = state_vector(&[2, 7, 3, 0x80, 1, 0]).expect("well formed");
    assert_eq!(vector.entries().collect::<Vec<_>>(), [(7, 3), (128, 0)]);
    assert_eq!((vector.len(), vector.is_empty()), (2, false));
    assert!(state_vector(&[0]).is_ok_and(|vector| vector.is_empty()));
    for bad in [&[][..], &[1], &[1, 7], &[1, 7, 3, 0], &[0, 0]] {
        assert!(state_vector(bad).is_err());
    }
    let mut late = vec![1, 7];
    write_uint(&mut late, CLOCK_END);
    assert!(state_vector(&late).is_err());
}

#[test]
fn presence_is_read_whole() {
    let bytes = [&[2, 7, 1, 2][..], b"{}", &[9, 4, 4], b"null"].concat();
    let presence = awareness(&bytes).expect("well formed");
    let entries: Vec<_> = presence.entries().collect();
    assert_eq!(entries[0], AwarenessEntry { client: 7, clock: 1, state: "{}" });
    assert_eq!(entries[1], AwarenessEntry { client: 9, clock: 4, state: "null" });
    assert_eq!([entries[0].is_gone(), entries[1].is_gone()], [false, true]);
    for end in 0..bytes.len() {
        assert!(awareness(&bytes[..end]).is_err(), "cut at {end}");
    }
    assert!(awareness(&[0]).is_ok_and(|presence| presence.is_empty()));
}

#[test]
fn presence_that_would_break_its_readers_is_refused() {
    let entry = |clock: u64, state: &str| {
        let mut bytes = vec![1, 7];
        write_uint(&mut bytes, clock);
        write_buffer(&mut bytes, state.as_bytes());
        awareness(&bytes).map(|_| ()).map_err(|refusal| refusal.code)
    };
    let of_len = |len: usize| format!("\"{}\"", "x".repeat(len - 2));
    let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    assert_eq!(entry(AWARENESS_CLOCK_END - 1, "1"), Ok(()));
    assert_eq!(entry(AWARENESS_CLOCK_END, "1"), Err(Code::Malformed));
    assert_eq!(entry(1, &of_len(AWARENESS_STATE_BYTES_MAX)), Ok(()));
    assert_eq!(entry(1, &of_len(AWARENESS_STATE_BYTES_MAX + 1)), Err(Code::TooLarge));
    assert_eq!(entry(1, &nested(ANY_DEPTH_MAX)), Ok(()));
    assert_eq!(entry(1, &nested(ANY_DEPTH_MAX + 1)), Err(Code::TooLarge));
    assert_eq!(entry(1, ""), Err(Code::Malformed));
    assert_eq!(entry(1, "{\"a\":1,}"), Err(Code::Malformed));
    assert_eq!(entry(1, "undefined"), Err(Code::Malformed));
}

#[test]
fn json_is_checked_as_serde_json_parses_it() {
    let good = [
        "0",
        "-0",
        "12.50e+3",
        "1E9",
        " true ",
        "false",
        "null",
        "\"\"",
        "\"\\u00e9\\n\"",
        "[]",
        "[ ]",
        "{}",
        "[1,[2,{}],\"x\"]",
        "{\"a\":{\"b\":[]},\"\":0}",
        "\t[\r\n1 , 2 ]",
        "\"\u{1f600}\"",
        "{\"a\" : [ { } , [ ] ] }",
    ];
    let bad = [
        "",
        " ",
        "01",
        "-",
        "1.",
        ".5",
        "1e",
        "+1",
        "tru",
        "nulL",
        "\"",
        "\"\\x\"",
        "\"\\u12g4\"",
        "\"\n\"",
        "[",
        "[1",
        "[1,]",
        "[,1]",
        "[1 2]",
        "]",
        "{",
        "{\"a\"}",
        "{\"a\":}",
        "{a:1}",
        "{\"a\":1,}",
        "[1}",
        "{\"a\":1]",
        "1 2",
        "[]]",
        "{}{",
        "'a'",
        "NaN",
        "\u{feff}1",
        "\"\\",
    ];
    for text in good {
        assert_eq!(check_json(text), Ok(()), "{text}");
        assert!(serde_json::from_str::<serde_json::Value>(text).is_ok(), "{text}");
    }
    for text in bad {
        assert!(check_json(text).is_err(), "{text}");
        assert!(serde_json::from_str::<serde_json::Value>(text).is_err(), "{text}");
    }
}

#[test]
fn any_values_are_passed_over_exactly() {
    let values: [&[u8]; 10] = [
        &[127],
        &[125, 0x80, 1],
        &[124, 0, 0, 0, 0],
        &[123, 0, 0, 0, 0, 0, 0, 0, 0],
        &[122, 255, 255, 255, 255, 255, 255, 255, 255],
        &[120],
        &[119, 2, 0xc3, 0xa9],
        &[118, 2, 1, b'a', 117, 0, 1, b'b', 126],
        &[117, 3, 117, 1, 126, 121, 116, 1, 9],
        &[116, 0],
    ];
    for value in values {
        let mut reader = Reader::new(value);
        assert_eq!(skip_any(&mut reader), Ok(()));
        assert!(reader.is_at_end());
        for end in 0..value.len() {
            assert!(skip_any(&mut Reader::new(&value[..end])).is_err());
        }
    }
    for kind in (0..116).chain(128..=255) {
        assert!(skip_any(&mut Reader::new(&[kind, 0])).is_err(), "{kind}");
    }
}
