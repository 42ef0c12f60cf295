use super::*;
use crate::error::Code;

fn uint(bytes: &[u8]) -> Result<u64, Refusal> {
    let mut reader = Reader::new(bytes);
    let value = reader.uint()?;
    reader.check_end()?;
    Ok(value)
}

#[test]
fn numbers_have_lib0s_bytes() {
    let golden: [(u64, &[u8]); 7] = [
        (0, &[0]),
        (127, &[0x7f]),
        (128, &[0x80, 1]),
        (300, &[0xac, 2]),
        (1 << 31, &[0x80, 0x80, 0x80, 0x80, 8]),
        ((1 << 32) - 1, &[0xff, 0xff, 0xff, 0xff, 0x0f]),
        (UINT_MAX, &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x0f]),
    ];
    for (value, bytes) in golden {
        let mut out = Vec::new();
        write_uint(&mut out, value);
        assert_eq!(out, bytes);
        assert_eq!(uint_len(value), bytes.len());
        assert_eq!(uint(bytes), Ok(value));
    }
}

#[test]
fn signed_numbers_have_lib0s_bytes() {
    let golden: [(i64, &[u8]); 7] = [
        (0, &[0]),
        (-1, &[0x41]),
        (63, &[0x3f]),
        (64, &[0x80, 1]),
        (-64, &[0xc0, 1]),
        (-8_192, &[0xc0, 0x80, 1]),
        (i64::from(i32::MAX), &[0xbf, 0xff, 0xff, 0xff, 0x0f]),
    ];
    for (value, bytes) in golden {
        let mut out = Vec::new();
        write_int(&mut out, value);
        assert_eq!(out, bytes, "{value}");
        assert_eq!(Reader::new(bytes).int(), Ok(value));
    }
}

#[test]
fn a_number_of_54_bits_is_refused() {
    let mut bytes = Vec::new();
    write_uint(&mut bytes, 1 << 53);
    assert_eq!(uint(&bytes).map_err(|refusal| refusal.code), Err(Code::Malformed));
    assert!(uint(&[0xff; 9]).is_err());
    assert!(uint(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1]).is_err());
    let mut signed = Vec::new();
    write_int(&mut signed, -(1 << 53));
    assert!(Reader::new(&signed).int().is_err());
}

#[test]
fn padding_is_read_up_to_ten_bytes() {
    assert_eq!(uint(&[0x81, 0]), Ok(1));
    assert_eq!(uint(&[0x81, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0]), Ok(1));
    assert!(uint(&[0x81, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0]).is_err());
    let padded = [0x81, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0];
    assert_eq!(Reader::new(&padded).int(), Ok(1));
    let longer = [0x81, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0];
    assert!(Reader::new(&longer).int().is_err());
}

#[test]
fn a_count_never_exceeds_the_bytes_left() {
    assert_eq!(Reader::new(&[2, 0, 0]).count(), Ok(2));
    assert!(Reader::new(&[3, 0, 0]).count().is_err());
    assert!(Reader::new(&[0x80, 0x88, 0xde, 0xbe, 1]).count().is_err());
}

#[test]
fn strings_and_buffers_stop_at_the_end() {
    assert_eq!(Reader::new(b"\x03abc").text(), Ok("abc"));
    assert!(Reader::new(b"\x04abc").text().is_err());
    assert_eq!(
        Reader::new(b"\x02\xff\xff").text(),
        Err(Refusal::malformed(1, "string is not UTF-8"))
    );
    assert_eq!(Reader::new(b"\x00").buffer(), Ok(&[][..]));
    assert!(Reader::new(b"").buffer().is_err());
}

#[test]
fn a_key_of_64_kib_is_the_longest() {
    for (len, is_ok) in [(KEY_BYTES_MAX, true), (KEY_BYTES_MAX + 1, false)] {
        let mut bytes = Vec::new();
        write_buffer(&mut bytes, &vec![b'k'; len]);
        assert_eq!(Reader::new(&bytes).key().is_ok(), is_ok);
    }
}
