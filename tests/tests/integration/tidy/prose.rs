//! What the documentation may name.

use super::{Source, source};

/// Where a path named in the documentation may start.
const STARTS: [&str; 8] = [
    "",
    "docs",
    "server/src",
    "server/storage/src",
    "protocol/src",
    "client-lib/src",
    "tests",
    "tests/tests/integration",
];

/// Paths in backticks that hold a `/` and end in `/` or in an extension exist, in `docs/` and every
/// README.
pub(super) fn named_paths(source: &Source) -> Vec<String> {
    let is_prose = source.path.starts_with("docs/") || source.path.ends_with("README.md");
    if !is_prose || !source.path.ends_with(".md") {
        return Vec::new();
    }
    let root = source::root();
    let own = source.path.rsplit_once('/').map_or("", |(folder, _)| folder);
    let ignored = std::fs::read_to_string(root.join(".gitignore")).unwrap_or_default();
    let is_made = |path: &str| {
        let mut made = ignored.lines().filter_map(|line| line.strip_prefix('/'));
        made.any(|prefix| path.starts_with(prefix.trim_end_matches('/')))
    };
    let mut findings = Vec::new();
    for (line, text) in source.text.lines().enumerate() {
        for path in text.split('`').skip(1).step_by(2).filter(|path| is_path(path)) {
            let exists =
                STARTS.iter().chain([&own]).any(|start| root.join(start).join(path).exists());
            if !exists && !is_made(path) {
                findings.push(source.finding(line, &format!("names `{path}`, which is not there")));
            }
        }
    }
    findings
}

/// Whether a piece in backticks is a path of ours, not an address, a pattern or an example.
fn is_path(piece: &str) -> bool {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./".contains(c);
    let extension = piece.rsplit_once('.').map_or("", |(_, extension)| extension);
    let has_extension = (1..=5).contains(&extension.len())
        && extension.chars().all(|c| c.is_ascii_alphabetic() && c.is_ascii_lowercase());
    piece.contains('/')
        && !piece.starts_with(['/', '.'])
        && piece.chars().all(is_plain)
        && (piece.ends_with('/') || has_extension)
}

/// Nothing in the repository depends on, or tells of, the machine it was made on.
pub(super) fn machine_paths(source: &Source) -> Vec<String> {
    let strange = [
        concat!("/wo", "rk/"),
        concat!("/tmp/w", "t/"),
        concat!("/tmp/tar", "get-"),
        concat!("/ro", "ot/"),
    ];
    let has = |line: &str| {
        strange.iter().any(|path| {
            line.match_indices(path).any(|(at, _)| {
                !line[..at].ends_with(|c: char| c.is_alphanumeric() || "._-".contains(c))
            })
        })
    };
    let lines = source.text.lines().enumerate().filter(|(_, line)| has(line));
    lines.map(|(line, _)| source.finding(line, "names a path of one machine")).collect()
}
