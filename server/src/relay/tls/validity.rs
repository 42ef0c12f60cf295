//! How long a certificate is valid: two dates out of its DER, for a warning.
//!
//! Used by `tls` alone; whether a certificate may be trusted is for clients to say. Never fails: a
//! certificate that cannot be read here has no dates.

/// The times between which a certificate is valid, in milliseconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Validity {
    pub(super) from_ms: u64,
    pub(super) until_ms: u64,
}

/// Tags of DER, X.690 §8 and RFC 5280 §4.1.
const SEQUENCE: u8 = 0x30;
const VERSION: u8 = 0xA0;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;

impl Validity {
    /// Walks `Certificate` → `TBSCertificate` → `validity`.
    pub(super) fn of(der: &[u8]) -> Option<Validity> {
        let (certificate, _) = sequence(der)?;
        let (mut rest, _) = sequence(certificate)?;
        if rest.first() == Some(&VERSION) {
            rest = element(rest)?.2;
        }
        // Serial number, signature's algorithm, issuer.
        for _ in 0..3 {
            rest = element(rest)?.2;
        }
        let (validity, _) = sequence(rest)?;
        let (tag, from, rest) = element(validity)?;
        let from_ms = time(tag, from)?;
        let (tag, until, _) = element(rest)?;
        Some(Validity { from_ms, until_ms: time(tag, until)? })
    }
}

fn sequence(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (tag, content, rest) = element(bytes)?;
    (tag == SEQUENCE).then_some((content, rest))
}

/// Tag and content of the first element, and what follows it.
fn element(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&[tag, length], rest) = bytes.split_first_chunk()?;
    let (length, rest) = match length {
        0..=0x7F => (usize::from(length), rest),
        0x81..=0x83 => {
            let (length, rest) = rest.split_at_checked(usize::from(length & 0x7F))?;
            (length.iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte)), rest)
        }
        _ => return None,
    };
    let (content, rest) = rest.split_at_checked(length)?;
    Some((tag, content, rest))
}

/// `YYMMDDHHMMSSZ` or `YYYYMMDDHHMMSSZ`; two digits below 50 are of this century, RFC 5280 §4.1.2.
fn time(tag: u8, text: &[u8]) -> Option<u64> {
    let digits = text.strip_suffix(b"Z")?;
    if !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let (year, rest) = match (tag, digits.len()) {
        (UTC_TIME, 12) => {
            let year = number(&digits[..2]);
            (if year < 50 { 2000 + year } else { 1900 + year }, &digits[2..])
        }
        (GENERALIZED_TIME, 14) => (number(&digits[..4]), &digits[4..]),
        _ => return None,
    };
    let at = |index: usize| number(&rest[2 * index..2 * index + 2]);
    let (month, day) = (at(0), at(1));
    if year < 1970 || !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    let seconds = at(2) * 3600 + at(3) * 60 + at(4);
    Some((days(year, month, day) * 86_400 + seconds) * 1000)
}

fn number(digits: &[u8]) -> u64 {
    digits.iter().fold(0, |sum, digit| sum * 10 + u64::from(digit - b'0'))
}

/// Days since 1970 of a date of the Gregorian calendar (Hinnant, `days_from_civil`).
fn days(year: u64, month: u64, day: u64) -> u64 {
    // Years begin in March: the leap day is then the last of one.
    let year = if month <= 2 { year - 1 } else { year };
    let (era, of_era) = (year / 400, year % 400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

#[cfg(test)]
mod tests {
    //! Dates that are known.

    use super::*;

    #[test]
    fn dates_of_both_forms_are_read() {
        for (tag, text, seconds) in [
            (UTC_TIME, "700101000000Z", 0),
            (UTC_TIME, "000229000000Z", 951_782_400),
            (UTC_TIME, "491231235959Z", 2_524_607_999),
            (GENERALIZED_TIME, "20000301000000Z", 951_868_800),
            (GENERALIZED_TIME, "20500101000000Z", 2_524_608_000),
            (GENERALIZED_TIME, "99991231235959Z", 253_402_300_799),
        ] {
            assert_eq!(time(tag, text.as_bytes()), Some(seconds * 1000), "{text}");
        }
        for text in ["", "Z", "690101000000Z", "20001301000000Z", "2000030100000aZ"] {
            assert_eq!(time(GENERALIZED_TIME, text.as_bytes()), None, "{text}");
            assert_eq!(time(UTC_TIME, text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn bytes_that_are_no_certificate_have_no_dates() {
        assert_eq!(Validity::of(&[]), None);
        assert_eq!(Validity::of(&[SEQUENCE, 0x82, 0xFF, 0xFF]), None);
        assert_eq!(Validity::of(&[SEQUENCE, 0x84, 1, 1, 1, 1]), None);
        let nested: Vec<u8> = (0..40).rev().flat_map(|left| [SEQUENCE, 2 * left]).collect();
        assert_eq!(Validity::of(&nested), None);
    }
}
