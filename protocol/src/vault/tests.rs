//! Names that people, disks and attackers choose.

use super::*;

#[test]
fn a_plain_path_is_one() {
    assert_eq!(check_path("notes/today.md"), Ok(()));
}
