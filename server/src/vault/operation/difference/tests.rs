use super::*;

fn to(text: &str, steps: Vec<DiffStep>, unit: Unit) -> Result<String, &'static str> {
    applied(text, &Diff(steps), unit)
}

#[test]
fn a_difference_leads_to_its_text() {
    let steps = vec![DiffStep::Keep(3), DiffStep::Insert("ins".into()), DiffStep::Delete(2)];
    for unit in [Unit::Utf16, Unit::Unicode, Unit::Utf8] {
        assert_eq!(to("abcdefg", steps.clone(), unit).as_deref(), Ok("abcinsfg"), "{unit:?}");
    }
    assert_eq!(to("abc", vec![], Unit::Utf8).as_deref(), Ok("abc"));
    assert_eq!(to("", vec![DiffStep::Insert("a".into())], Unit::Utf8).as_deref(), Ok("a"));
}

#[test]
fn a_difference_counts_in_its_unit() {
    let delete = |count| vec![DiffStep::Delete(count)];
    for (unit, count) in [(Unit::Utf16, 2), (Unit::Unicode, 1), (Unit::Utf8, 4)] {
        assert_eq!(to("😀é", delete(count), unit).as_deref(), Ok("é"), "{unit:?}");
    }
}

#[test]
fn a_difference_that_does_not_fit_is_refused() {
    let keep = |count| vec![DiffStep::Keep(count)];
    for (count, unit) in [(1, Unit::Utf16), (3, Unit::Utf8), (2, Unit::Unicode)] {
        assert!(to("😀", keep(count), unit).is_err(), "{unit:?}");
    }
    assert!(to("abc", keep(u64::MAX), Unit::Utf8).is_err());
    assert!(to("abc", vec![DiffStep::Delete(4)], Unit::Utf8).is_err());
}
