use super::*;

#[test]
fn a_line_with_a_strange_name_is_read() {
    let line = "12 (a ) b) S 1 12 12 0 -1 4194560 1 0 0 0 150 50 0 0 20 0 5 0 1 1000 300 1 1";
    let usage = parse(line).unwrap();
    assert_eq!(usage, Usage { cpu: Duration::from_secs(2), resident_bytes: 300 * 4096 });
}

#[test]
fn this_process_uses_something() {
    assert!(usage(None).unwrap().resident_bytes > 100_000);
    assert!(usage(Some(u32::MAX)).is_err());
}
