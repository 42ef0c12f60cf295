//! The files of the repository, as the rules see them.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// Folders that hold what tools made.
const SKIPPED: [&str; 10] = [
    ".git",
    "target",
    "node_modules",
    "dist",
    "out",
    ".venv",
    "artifacts",
    "corpus",
    "traces",
    "__pycache__",
];
/// Longer files are data.
const BYTES_MAX: u64 = 1 << 20;

/// One text file.
pub(super) struct Source {
    /// From the repository's root, parted by `/`.
    pub(super) path: String,
    pub(super) text: String,
    /// The text without comments and literals, line for line. Empty unless it is Rust.
    pub(super) code: String,
}

impl Source {
    pub(super) fn new(path: &str, text: &str) -> Self {
        let code = if path.ends_with(".rs") { code_of(text) } else { String::new() };
        Self { path: path.to_owned(), text: text.to_owned(), code }
    }

    pub(super) fn is_rust(&self) -> bool {
        self.path.ends_with(".rs")
    }

    /// Whether this file holds nothing but tests.
    pub(super) fn is_test(&self) -> bool {
        self.path.ends_with("/tests.rs")
            || self.path.ends_with("_tests.rs")
            || self.path.split('/').skip(1).any(|part| part == "tests")
    }

    /// `path:line: what`
    pub(super) fn finding(&self, line: usize, what: &str) -> String {
        format!("{}:{}: {what}", self.path, line + 1)
    }
}

/// The repository's root.
pub(super) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ lies in the root").to_owned()
}

/// Every text file of the repository; read once.
pub(super) fn tree() -> &'static [Source] {
    static TREE: OnceLock<Vec<Source>> = OnceLock::new();
    TREE.get_or_init(walk)
}

fn walk() -> Vec<Source> {
    let (root, mut sources, mut folders) = (root(), Vec::new(), vec![root()]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a folder of the repository").flatten() {
            let (path, name) = (entry.path(), entry.file_name());
            let kind = entry.file_type().expect("an entry has a type");
            if SKIPPED.iter().any(|skipped| name == *skipped) {
                continue; // `.git` is a file in a second worktree
            }
            if kind.is_dir() {
                folders.push(path);
            } else if kind.is_file()
                && entry.metadata().is_ok_and(|data| data.len() <= BYTES_MAX)
                && let Ok(text) = fs::read_to_string(&path)
            {
                let relative = path.strip_prefix(&root).expect("it was found below the root");
                sources.push(Source::new(&relative.to_string_lossy().replace('\\', "/"), &text));
            }
        }
    }
    assert!(sources.len() > 10, "the walk must find the repository");
    sources
}

/// Blanks comments, strings and characters, so that a rule about names sees only code.
fn code_of(text: &str) -> String {
    let (mut out, mut rest) = (String::with_capacity(text.len()), text);
    while let Some(first) = rest.chars().next() {
        let len = literal_len(rest, out.chars().last());
        if len == 0 {
            out.push(first);
            rest = &rest[first.len_utf8()..];
        } else {
            out.extend(rest[..len].chars().map(|c| if c == '\n' { '\n' } else { ' ' }));
            rest = &rest[len..];
        }
    }
    out
}

/// How many bytes of comment or literal begin here; 0 if none does.
fn literal_len(rest: &str, before: Option<char>) -> usize {
    let end_after = |from: usize, mark: &str| {
        rest[from..].find(mark).map_or(rest.len(), |found| from + found + mark.len())
    };
    if rest.starts_with("//") {
        return rest.find('\n').unwrap_or(rest.len());
    }
    if rest.starts_with("/*") {
        return end_after(2, "*/");
    }
    let is_word = before.is_some_and(|c| c.is_alphanumeric() || c == '_');
    let raw = rest.strip_prefix("br").or_else(|| rest.strip_prefix('r')).filter(|_| !is_word);
    if let Some(raw) = raw {
        let hashes = raw.len() - raw.trim_start_matches('#').len();
        if raw[hashes..].starts_with('"') {
            let open = rest.len() - raw.len() + hashes + 1;
            return end_after(open, &format!("\"{}", "#".repeat(hashes)));
        }
    }
    if rest.starts_with('"') {
        let mut escaped = false;
        for (at, c) in rest.char_indices().skip(1) {
            match c {
                _ if escaped => escaped = false,
                '\\' => escaped = true,
                '"' => return at + 1,
                _ => {}
            }
        }
        return rest.len();
    }
    if rest.starts_with("'\\") {
        return end_after(3.min(rest.len()), "'");
    }
    // 'x' is a character, 'x without a closing quote a lifetime.
    let mut characters = rest.char_indices();
    match (characters.next(), characters.next(), characters.next()) {
        (Some((_, '\'')), Some(_), Some((at, '\''))) => at + 1,
        _ => 0,
    }
}
