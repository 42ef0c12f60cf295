use super::*;

#[test]
fn documents_are_shared_without_a_rest() {
    let processes = |processes| Processes { processes, member: false };
    assert_eq!(processes(1).shares(50), (50, 50));
    assert_eq!(processes(4).shares(50), (14, 12));
    assert_eq!(Processes { processes: 1, member: true }.shares(12), (12, 0));
}

#[test]
fn a_check_passes_if_it_passes_everywhere() {
    let check = |name: &str, is_passed, note: &str| Check::new(name, is_passed, note);
    let mut checks = vec![
        check("a", true, ""),
        check("b", true, ""),
        check("c", false, "own"),
        check("d", true, "not asked of a relay"),
    ];
    let others = vec![
        check("a", true, ""),
        check("b", false, "theirs"),
        check("c", true, ""),
        check("d", false, "differs"),
    ];
    add_checks(&mut checks, others, true);
    let passed: Vec<bool> = checks.iter().map(|check| check.is_passed).collect();
    assert_eq!(passed, [true, false, false, true]);
    assert_eq!(checks[1].note, "theirs");
}
