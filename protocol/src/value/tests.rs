use super::*;

fn written(value: &Value) -> Vec<u8> {
    let mut out = Vec::new();
    value.write(&mut out);
    out
}

#[test]
fn values_have_lib0s_bytes() {
    let golden: [(&str, &[u8]); 11] = [
        ("null", &[126]),
        ("true", &[120]),
        ("-65", &[125, 0xc1, 1]),
        ("2147483647", &[125, 0xbf, 0xff, 0xff, 0xff, 0x0f]),
        ("2147483648", &[124, 0x4f, 0, 0, 0]),
        ("-0.0", &[124, 0x80, 0, 0, 0]),
        ("1.5", &[124, 0x3f, 0xc0, 0, 0]),
        ("0.1", &[123, 0x3f, 0xb9, 0x99, 0x99, 0x99, 0x99, 0x99, 0x9a]),
        ("\"hé\"", &[119, 3, b'h', 0xc3, 0xa9]),
        ("[1,[]]", &[117, 2, 125, 1, 117, 0]),
        ("{\"b\":1,\"a\":null}", &[118, 2, 1, b'a', 126, 1, b'b', 125, 1]),
    ];
    for (json, bytes) in golden {
        let value = Value::from_json(json).expect("JSON");
        assert_eq!(written(&value), bytes, "{json}");
        assert_eq!(Value::read(&mut Reader::new(bytes)), Ok(value));
    }
}

#[test]
fn values_are_compared_by_meaning() {
    let read = |bytes: &[u8]| Value::read(&mut Reader::new(bytes)).expect("a value");
    let one = [&[125, 1][..], &[124, 0x3f, 0x80, 0, 0], &[122, 0, 0, 0, 0, 0, 0, 0, 1]];
    assert!(one.iter().all(|bytes| read(bytes) == read(one[0])));
    let [ab, ba] = [&[118, 2, 1, b'a', 126, 1, b'b', 127], &[118, 2, 1, b'b', 127, 1, b'a', 126]];
    assert_eq!(read(ab), read(ba));
    let nan = [124, 0x7f, 0xc0, 0, 0];
    assert_eq!(read(&nan), read(&nan));
    assert_ne!(read(&[126]), read(&[127]));
    assert_ne!(read(&[116, 1, 9]), read(&[119, 1, 9]));
}

#[test]
fn json_that_only_javascript_reads_is_refused() {
    assert!(Value::from_json("\"\\ud800\"").is_err());
    assert!(Value::from_json("1e999").is_err());
}
