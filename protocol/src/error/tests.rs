use super::*;
use std::collections::{HashMap, HashSet};

#[test]
fn every_code_has_its_own_name() {
    let names: HashSet<_> = Code::ALL.iter().map(|code| code.name()).collect();
    assert_eq!(names.len(), Code::ALL.len());
}

#[test]
fn codes_that_close_alike_are_of_one_kind() {
    let mut rows: HashMap<u16, Row> = HashMap::new();
    for code in Code::ALL {
        let row = rows.entry(code.close_code()).or_insert(code.row());
        let kind = (row.http_status, row.is_retryable);
        assert_eq!((code.http_status(), code.is_retryable()), kind, "{code} and {}", row.name);
    }
}

#[test]
fn close_codes_say_whether_to_come_back() {
    for code in Code::ALL {
        let expected = match code.close_code() {
            4400..=4499 => false,
            4500..=4599 | 1012 | 1013 => true,
            other => panic!("{code} closes with {other}, outside our ranges"),
        };
        assert_eq!(code.is_retryable(), expected, "{code}");
    }
}

#[test]
fn a_refusal_says_where_and_never_what_was_written() {
    let refusal = Refusal::malformed(7, "string is not UTF-8").shifted(3);
    assert_eq!(refusal.to_string(), "malformed: string is not UTF-8 at byte 10");
}
