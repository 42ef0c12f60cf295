use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::error::Code;
use crate::limits::{BATCH_ITEMS_MAX, DIFF_STEPS_MAX, MESSAGE_BYTES_MAX};

fn read(message: &serde_json::Value) -> Result<Request, Misread> {
    read_request(message.to_string().as_bytes(), Form::Json, MESSAGE_BYTES_MAX)
}

fn refused(message: &serde_json::Value) -> Misread {
    read(message).expect_err("it is refused")
}

#[test]
fn a_message_is_the_same_in_both_forms() {
    let message =
        json!({"type": "upload_file", "re": 1, "path": "a.md", "content": "hé", "base_version": 0});
    let request = read(&message).expect("it is read");
    for form in [Form::Json, Form::MessagePack] {
        let written = write(&request, form);
        assert_eq!(
            read_request(&written, form, MESSAGE_BYTES_MAX).as_ref(),
            Ok(&request),
            "{form:?}"
        );
    }
}

#[test]
fn fields_that_are_not_known_are_passed_over() {
    let message = json!({"type": "ping", "re": 1, "of_tomorrow": {"a": [1, null, {"b": 2.5}]}});
    assert_eq!(read(&message), Ok(Request::Ping(Ping { re: Some(Re::Number(1)) })));
}

#[test]
fn a_refusal_names_the_request_and_the_field() {
    let misread = refused(&json!({"type": "download_file", "re": "mine", "path": 7}));
    assert_eq!(misread.re, Some(Re::Text("mine".to_owned())));
    assert_eq!((misread.code, misread.field.as_deref()), (Code::InvalidMessage, Some("path")));
    let misread = refused(&json!({"type": "download_file", "re": 2}));
    assert_eq!(misread.field.as_deref(), Some("path"));
    let item = json!({"id": 1, "type": "upload_file"});
    let misread = refused(&json!({"type": "push", "items": [item]}));
    assert_eq!(misread.field.as_deref(), Some("items[0].path"));
    let misread = refused(&json!({"type": "rename", "re": 3}));
    assert_eq!((misread.code, misread.re), (Code::UnknownType, Some(Re::Number(3))));
}

#[test]
fn old_and_new_names_of_a_field_are_read() {
    let old = json!({"type": "upload_file", "path": "a", "content": "", "version": 3});
    let new = json!({"type": "upload_file", "path": "a", "content": "", "base_version": 3});
    assert_eq!(read(&old), read(&new));
}

#[test]
fn operations_beyond_the_bound_are_counted_and_not_kept() {
    let item = json!({"id": 1, "type": "delete_file", "path": "a"});
    let Ok(Request::Push(push)) =
        read(&json!({"type": "push", "items": vec![item; BATCH_ITEMS_MAX + 7]}))
    else {
        panic!("a push")
    };
    assert_eq!((push.items.items.len(), push.items.count), (BATCH_ITEMS_MAX, BATCH_ITEMS_MAX + 7));
}

#[test]
fn lists_end_at_their_bounds() {
    let with = |steps| json!({"type": "upload_file", "path": "a", "diff": vec![1; steps]});
    assert!(read(&with(DIFF_STEPS_MAX)).is_ok());
    let misread = refused(&with(DIFF_STEPS_MAX + 1));
    assert_eq!((misread.code, misread.field.as_deref()), (Code::InvalidMessage, Some("diff")));
    let with = |count| json!({"type": "get_changes", "collections": vec!["files"; count]});
    assert!(read(&with(64)).is_ok());
    assert_eq!(refused(&with(65)).code, Code::InvalidMessage);
}

#[test]
fn a_token_and_content_are_not_shown() {
    let message = json!({"type": "auth", "token": "secret"});
    assert!(!format!("{:?}", read(&message)).contains("secret"));
    let message =
        json!({"type": "upload_file", "path": "a", "content": "secret", "diff": ["secret"]});
    assert!(!format!("{:?}", read(&message)).contains("secret"));
}

#[test]
fn large_messages_come_back_from_compression() {
    let content = Some(Content::Text("lorem ipsum ".repeat(1000)));
    let request = Request::UploadFile(Upload { path: "a".into(), content, ..Upload::default() });
    let written = write(&request, Form::MessagePack);
    let packed = pack(written.clone());
    assert!(packed.len() < written.len() / 10, "{} of {}", packed.len(), written.len());
    assert_eq!(read_request(&packed, Form::MessagePack, MESSAGE_BYTES_MAX), Ok(request));
    // What is small, or does not get smaller, stays as it is.
    assert_eq!(pack(vec![7; PACK_BYTES_MIN - 1]), vec![7; PACK_BYTES_MIN - 1]);
}

#[test]
fn a_message_inflates_to_its_bound_and_no_further() {
    let of = |bytes| {
        let content = Some(Content::Bytes(vec![0; bytes]));
        let upload = Upload { path: "a".into(), content, ..Upload::default() };
        let written = write(&Request::UploadFile(upload), Form::MessagePack);
        (written.len(), pack(written))
    };
    let (overhead, _) = of(100_000);
    let fits = MESSAGE_BYTES_MAX - (overhead - 100_000);
    assert!(read_request(&of(fits).1, Form::MessagePack, MESSAGE_BYTES_MAX).is_ok());
    let misread =
        read_request(&of(fits + 1).1, Form::MessagePack, MESSAGE_BYTES_MAX).expect_err("too large");
    assert_eq!(misread.code, Code::TooLarge);
}

#[test]
fn json_is_one_object_and_nothing_behind_it() {
    for text in ["[]", "\"ping\"", "{\"type\":\"ping\"} {}", "{\"type\":\"ping\"", "", "[\"ping\"]"]
    {
        let misread = read_request(text.as_bytes(), Form::Json, MESSAGE_BYTES_MAX).expect_err(text);
        assert_eq!(misread.code, Code::InvalidMessage, "{text}");
    }
}

#[test]
fn deep_json_is_no_trouble() {
    for open in ["[", "{\"a\":"] {
        let text = format!("{{\"type\":\"ping\",\"x\":{}", open.repeat(1_000_000));
        let misread = read_request(text.as_bytes(), Form::Json, MESSAGE_BYTES_MAX)
            .expect_err("it is not closed");
        assert_eq!(misread.code, Code::InvalidMessage);
    }
}

/// Something like a message: honest keys and values among any bytes.
fn likely() -> impl Strategy<Value = Vec<u8>> {
    let words = ["type", "path", "content", "push", "upload_file", "items", "diff", "re", "id"];
    let word = proptest::sample::select(words.to_vec()).prop_map(|word| {
        let mut bytes = vec![0xa0 | word.len() as u8];
        bytes.extend_from_slice(word.as_bytes());
        bytes
    });
    let marker = prop_oneof![0x80u8..0x9f, 0xc0u8..=0xdf].prop_map(|byte| vec![byte]);
    let any = proptest::collection::vec(any::<u8>(), 0..6);
    let part = prop_oneof![4 => word, 2 => marker, 1 => any];
    proptest::collection::vec(part, 0..24).prop_map(|parts| [vec![0x82], parts.concat()].concat())
}

proptest! {
    #[test]
    fn no_bytes_panic(
        bytes in prop_oneof![likely(), proptest::collection::vec(any::<u8>(), 0..256)],
    ) {
        for form in [Form::Json, Form::MessagePack] {
            let _ = read_request(&bytes, form, MESSAGE_BYTES_MAX);
            let _ = read_reply(&bytes, form);
        }
    }

    #[test]
    fn what_was_read_is_written_and_read_again(bytes in likely()) {
        if let Ok(request) = read_request(&bytes, Form::MessagePack, MESSAGE_BYTES_MAX) {
            let again = write(&request, Form::MessagePack);
            let read = read_request(&again, Form::MessagePack, MESSAGE_BYTES_MAX);
            prop_assert_eq!(read, Ok(request));
        }
    }

    #[test]
    fn a_diff_and_bytes_survive_both_forms(
        steps in proptest::collection::vec(prop_oneof![
            (0..i64::MAX as u64).prop_map(DiffStep::Keep),
            (1..i64::MAX as u64).prop_map(DiffStep::Delete),
            ".*".prop_map(DiffStep::Insert),
        ], 0..20),
        update in proptest::collection::vec(any::<u8>(), 0..64),
    ) {
        let diff = Some(Diff(steps));
        let upload = Request::UploadFile(Upload { path: "a".into(), diff, ..Upload::default() });
        let id = "019VE2TSC0009BAYKQ71EBTG37".parse().map(FileId).expect("a stamp");
        let edit = Request::DocUpdate(DocUpdate { re: None, id, update: Binary(update) });
        for form in [Form::Json, Form::MessagePack] {
            for request in [&upload, &edit] {
                let read = read_request(&write(request, form), form, MESSAGE_BYTES_MAX);
                prop_assert_eq!(read.as_ref(), Ok(request));
            }
        }
    }
}

#[test]
fn what_a_frame_inflates_to_is_known_before_and_bounded() {
    let content = Content::Text("a".repeat(100_000));
    let upload = Upload { path: "a".into(), content: Some(content), ..Upload::default() };
    let whole = write(&Request::UploadFile(upload), Form::MessagePack);
    let frame = pack(whole.clone());
    assert!(frame.len() < 1000 && whole.len() > 100_000);
    assert_eq!(inflated_bytes(&frame, Form::MessagePack), whole.len());
    assert_eq!(inflated_bytes(&whole, Form::MessagePack), whole.len());
    assert!(read_request(&frame, Form::MessagePack, whole.len()).is_ok());
    let over = read_request(&frame, Form::MessagePack, whole.len() - 1).expect_err("too large");
    assert_eq!(over.code, Code::TooLarge);
}
