//! Names that people, disks and attackers choose.

use proptest::prelude::{any, proptest};

use super::BadPath::*;
use super::*;

const GOOD: &[&str] = &[
    "a",
    "a.md",
    "notes/today.md",
    "deep/er/and/deep/er/still/file.txt",
    "with space.md",
    " leading space",
    "dots...in.the.middle",
    ".hidden",
    ".git/config",
    "..twodots",
    "...a",
    "a..b/c",
    "CONSOLE",
    "console.log",
    "com",
    "com0",
    "com10",
    "lpt",
    "lpt10.txt",
    "nul1",
    "auxiliary",
    "prn-list",
    "icon/x",
    "übung.md",
    "Äpfel/Öl.md",
    "日本語/メモ.md",
    "العربية",
    "עברית",
    "🎉.md",
    "👩\u{200d}👩\u{200d}👧/family",
    "é",
    "naïve café",
    "100%",
    "a%2fb",
    "#hash",
    "a&b;c=d",
    "~user",
    "$HOME",
    "`id`",
    "-rf",
    "--help",
    "a'b",
    "(1)",
    "[x]",
    "{x}",
    "@mention",
    "a+b",
    "a,b",
    "!",
    "ß",
    "İstanbul",
    "\u{fb01}le",
];

const BAD: &[(&str, BadPath)] = &[
    ("", Length),
    ("/", EmptyPart),
    ("/etc/passwd", EmptyPart),
    ("a/", EmptyPart),
    ("a//b", EmptyPart),
    ("//host/share", EmptyPart),
    (".", Traversal),
    ("..", Traversal),
    ("./a", Traversal),
    ("../a", Traversal),
    ("a/..", Traversal),
    ("a/../b", Traversal),
    ("a/./b", Traversal),
    ("../../etc/passwd", Traversal),
    ("..\\..\\windows", Reserved),
    ("a\\b", Reserved),
    ("C:", Reserved),
    ("C:/a", Reserved),
    ("file:stream", Reserved),
    ("a*", Reserved),
    ("what?", Reserved),
    ("\"quoted\"", Reserved),
    ("<a", Reserved),
    ("a>b", Reserved),
    ("a|b", Reserved),
    ("a\0", Control),
    ("\0", Control),
    ("a\0.md", Control),
    ("a\nb", Control),
    ("a\rb", Control),
    ("a\tb", Control),
    ("\u{1b}[31m", Control),
    ("a\u{7f}", Control),
    ("a\u{80}", Control),
    ("a\u{9f}b", Control),
    ("a\u{202e}dm.exe", Direction),
    ("\u{202a}a", Direction),
    ("a\u{202b}", Direction),
    ("a\u{202c}", Direction),
    ("a\u{202d}", Direction),
    ("a\u{2066}b", Direction),
    ("a\u{2067}b", Direction),
    ("a\u{2068}b", Direction),
    ("a\u{2069}b", Direction),
    ("a\u{200e}", Direction),
    ("a\u{200f}", Direction),
    ("a.", TrailingDotOrSpace),
    ("a ", TrailingDotOrSpace),
    ("a. ", TrailingDotOrSpace),
    ("a./b", TrailingDotOrSpace),
    ("a /b", TrailingDotOrSpace),
    ("...", TrailingDotOrSpace),
    (" ", TrailingDotOrSpace),
    ("a/ /b", TrailingDotOrSpace),
    ("con", Device),
    ("CON", Device),
    ("Con.txt", Device),
    ("con.tar.gz", Device),
    ("a/con/b", Device),
    ("con .txt", Device),
    ("PRN", Device),
    ("aux", Device),
    ("aux.c", Device),
    ("nul", Device),
    ("NUL.md", Device),
    ("com1", Device),
    ("COM9", Device),
    ("com1.log", Device),
    ("lpt1", Device),
    ("LPT9.txt", Device),
    ("COM¹", Device),
    ("lpt².x", Device),
    ("com³", Device),
    ("conin$", Device),
    ("CONOUT$", Device),
    ("e\u{301}", NotNormalised),
    ("A\u{308}pfel", NotNormalised),
    ("a/u\u{308}/b", NotNormalised),
    ("\u{212b}", NotNormalised),
    ("\u{1100}\u{1161}", NotNormalised),
];

#[test]
fn hostile_names_are_refused_and_honest_ones_are_not() {
    assert!(GOOD.len() + BAD.len() >= 100, "{} and {}", GOOD.len(), BAD.len());
    for path in GOOD {
        assert_eq!(check_path(path), Ok(()), "{path:?}");
    }
    for (path, why) in BAD {
        assert_eq!(check_path(path), Err(*why), "{path:?}");
    }
}

#[test]
fn lengths_are_counted_in_bytes() {
    assert_eq!(check_path(&"a".repeat(255)), Ok(()));
    assert_eq!(check_path(&"a".repeat(256)), Err(PartLength));
    assert_eq!(check_path(&"ä".repeat(127)), Ok(()));
    assert_eq!(check_path(&"ä".repeat(128)), Err(PartLength));
    let long = ["a".repeat(255), "b".repeat(255), "c".repeat(255), "d".repeat(256)].join("/");
    assert_eq!((long.len(), check_path(&long)), (1_024, Err(PartLength)));
    let fits = ["a".repeat(255), "b".repeat(255), "c".repeat(255), "d".repeat(254)].join("/");
    assert_eq!((fits.len(), check_path(&fits)), (1_022, Ok(())));
    assert_eq!(check_path(&format!("{fits}/ee")), Err(Length));
    assert_eq!(check_path(&"x/".repeat(2_500)), Err(Length));
}

#[test]
fn aliases_are_what_a_disk_may_take_for_one() {
    let same = [
        ("A", "a"),
        ("Notes/TODAY.md", "notes/today.MD"),
        ("é", "e\u{301}"),
        ("É", "e\u{301}"),
        ("straße", "STRASSE"),
        ("ΣΑΣ", "σας"),
        ("\u{212a}", "k"),
        ("\u{fb01}le", "FILE"),
    ];
    for (one, two) in same {
        assert_eq!(alias_of(one), alias_of(two), "{one} {two}");
    }
    for (one, two) in [("a", "b"), ("a/b", "ab"), ("é", "e"), ("日", "月")] {
        assert_ne!(alias_of(one), alias_of(two), "{one} {two}");
    }
}

#[test]
fn a_mark_between_a_letter_and_its_iota_stays_there() {
    let (path, decomposed) = ("\u{1ff3}\u{9cd}", "\u{3c9}\u{9cd}\u{345}");
    assert_eq!(alias_of(path), alias_of(decomposed));
    assert_eq!(alias_of(path), "\u{3c9}\u{9cd}\u{3b9}");
}

proptest! {
    #[test]
    fn a_path_is_its_own_alias_and_an_alias_stays_one(path in any::<String>()) {
        let alias = alias_of(&path);
        assert_eq!(alias_of(&alias), alias);
        // Decomposed first, as the standard's caseless match has it: an iota below becomes one
        // beside its letter, and marks between the two stay where they are.
        let upper: String = path.nfd().flat_map(char::to_uppercase).collect();
        assert_eq!(alias_of(&upper), alias);
    }

    #[test]
    fn what_passes_is_relative_bounded_and_clean(path in any::<String>()) {
        if check_path(&path).is_ok() {
            assert!(path.len() <= 1_024 && !path.starts_with('/') && !path.contains('\\'));
            assert!(path.split('/').all(|part| !part.is_empty() && part != "." && part != ".."));
            assert!(!path.chars().any(char::is_control));
        }
    }
}

#[test]
fn a_conflict_name_is_derived_from_path_and_id() {
    let doc: DocId = "01ARZ3NDEKTSV4RRFFQ69G5FAV".parse().expect("an id");
    let of = |path: &str| conflict_of(path, doc, false);
    assert_eq!(of("a/notes.md"), "a/notes (conflict RZ3NDEK).md");
    assert_eq!(of("room"), "room (conflict RZ3NDEK)");
    assert_eq!(of("a.b/.profile"), "a.b/.profile (conflict RZ3NDEK)");
    assert_eq!(of("x. and so on, for long"), "x. and so on, for long (conflict RZ3NDEK)");
    let whole = "notes (conflict 01ARZ3NDEKTSV4RRFFQ69G5FAV).md";
    assert_eq!(conflict_of("notes.md", doc, true), whole);
    let long = "ü".repeat(127);
    let path = of(&format!("{}{long}.md", "d/".repeat(10)));
    assert_eq!(check_path(&path), Ok(()));
    assert!(path.ends_with("ü (conflict RZ3NDEK).md"));
    let room = of(&"r".repeat(DOCUMENT_NAME_BYTES_MAX));
    assert!(room.len() <= DOCUMENT_NAME_BYTES_MAX && room.ends_with("RZ3NDEK)"));
}
