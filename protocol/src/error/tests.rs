use super::*;
use std::collections::HashSet;

#[test]
fn every_code_has_its_own_name_and_close_code() {
    let names: HashSet<_> = Code::ALL.iter().map(|code| code.name()).collect();
    let closes: HashSet<_> = Code::ALL.iter().map(|code| code.close_code()).collect();
    assert_eq!(names.len(), Code::ALL.len());
    assert_eq!(closes.len(), Code::ALL.len());
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
