//! Hostile names stay inside, and every document gets a file of its own.

use std::os::unix::fs::symlink;

use super::*;

const HOSTILE: [&str; 16] = [
    "../escape",
    "/etc/passwd",
    "a/../../b",
    ".",
    "..",
    "a//b",
    "a\0b",
    "CON",
    "con.txt",
    "a\\b",
    "a:b",
    "line\nbreak",
    "x.",
    "x ",
    "\u{202e}gnp.exe",
    "%2e%2e%2f",
];

#[test]
fn hostile_names_become_plain_ones_below_the_folder() {
    let long = "ü".repeat(500);
    let paths: Vec<&str> = HOSTILE.iter().copied().chain([long.as_str()]).collect();
    let mut names = Names::new(paths.iter().copied());
    let mut seen = HashSet::new();
    for path in paths {
        let name = names.name(path);
        assert!(check_path(&name).is_ok(), "{path:?} becomes {name:?}");
        assert!(seen.insert(alias_of(&name)), "{name:?} twice");
    }
}

#[test]
fn a_legal_path_keeps_its_name_and_aliases_get_another() {
    let paths = ["A.md", "a.md", "plans", "plans/spring.md", "x%2Fy"];
    let mut names = Names::new(paths.iter().copied());
    let given: Vec<String> = paths.iter().map(|path| names.name(path)).collect();
    assert_eq!(given[0], "A.md");
    assert_eq!(given[1], "a.md~2", "a disk may take it for A.md");
    assert_eq!(given[2], "plans~2", "a folder has that name");
    assert_eq!(given[3], "plans/spring.md");
    assert_eq!(given[4], "x%2Fy");
}

#[test]
fn nothing_is_written_through_a_link() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let (outside, inside) = (dir.path().join("outside"), dir.path().join("inside"));
    std::fs::create_dir_all(&outside).expect("made");
    std::fs::create_dir_all(&inside).expect("made");
    std::fs::write(outside.join("kept"), "mine").expect("written");
    symlink(&outside, inside.join("docs")).expect("a link");
    symlink(outside.join("kept"), inside.join("file")).expect("a link");
    let folder = Folder::open(&inside).expect("open");
    assert!(folder.write("docs/new", "x", true).is_err());
    assert!(folder.write("file", "x", false).is_err());
    folder.write("file", "x", true).expect("the link itself is replaced");
    assert_eq!(std::fs::read_to_string(outside.join("kept")).expect("read"), "mine");
    assert!(!outside.join("new").exists());
    for name in ["../x", "/x", "a/../x", "", "a//b", "."] {
        assert!(folder.write(name, "x", true).is_err(), "{name:?}");
    }
}

#[test]
fn a_file_is_replaced_only_when_told() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let folder = Folder::open(&dir.path().join("new/deep")).expect("made");
    folder.write("a/b.md", "one", false).expect("written");
    assert!(folder.write("a/b.md", "two", false).is_err());
    folder.write("a/b.md", "two", true).expect("replaced");
    let text = std::fs::read_to_string(dir.path().join("new/deep/a/b.md")).expect("read");
    assert_eq!(text, "two");
}
