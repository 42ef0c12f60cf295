//! What counts as text, and how moments and progress are shown.

use super::*;

#[test]
fn a_text_is_utf_8_without_zeros_and_fits_a_message() {
    assert_eq!(import::as_text("früh".into()), Ok("früh".to_owned()));
    assert!(import::as_text(vec![0xff]).is_err());
    assert!(import::as_text(b"a\0b".to_vec()).is_err());
    assert!(import::as_text(vec![b'a'; MESSAGE_BYTES_MAX]).is_err());
}

#[test]
fn a_moment_is_told_in_utc() {
    assert_eq!(report::moment(0), "1970-01-01 00:00:00Z");
    assert_eq!(report::moment(1_709_164_799_000), "2024-02-28 23:59:59Z");
    assert_eq!(report::moment(1_709_251_200_000), "2024-03-01 00:00:00Z");
    assert_eq!(report::moment(1_795_308_307_000), "2026-11-22 00:45:07Z");
}

#[test]
fn the_progress_bar_has_a_template_that_can_be_read() {
    import::bar(3).finish_and_clear();
}
