//! `--help` tells every key with its default.

use super::*;

#[test]
fn the_help_tells_every_key_with_its_default() {
    let help = help();
    for key in keys::all() {
        let told = help.lines().find_map(|line| line.trim_start().strip_prefix(&key.name));
        let told = told.unwrap_or_else(|| panic!("--help does not tell {}", key.name));
        let default = key.default.map_or_else(String::new, |default| format!(" = {default}"));
        assert!(told.ends_with(&default), "{}: {told}", key.name);
    }
}
