use super::*;

#[test]
fn a_field_is_found_in_its_unit() {
    let text = "Name:\ta\nVmHWM:\t    7000 kB\nVmRSS:\t    6124 kB\nThreads:\t3\n";
    assert_eq!(kibibytes(text, "VmRSS:"), Some(6124));
    assert_eq!(kibibytes(text, "Rss:"), None);
}

#[test]
fn this_process_uses_something() {
    let usage = usage(None).unwrap();
    assert!(usage.resident_bytes > 100_000);
    assert!(usage.cpu > Duration::ZERO);
    let difference = sample(None).unwrap().resident_bytes.abs_diff(usage.resident_bytes);
    // Other tests of this process take and free memory meanwhile.
    assert!(difference < 1 << 30, "{difference} bytes between two ways to read the memory");
}

#[test]
fn a_process_that_is_not_there_is_an_error() {
    assert!(usage(Some(0x7fff_fff0)).is_err());
}
