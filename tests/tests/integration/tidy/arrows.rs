//! Who may import whom.

use super::Source;

/// Where the server's modules are: its own crate, and those that left it.
const SERVER_ROOTS: [&str; 3] = ["server/src/", "server/storage/src/", "server/ground/src/"];

/// What any module of the server may use.
const LEAVES: [&str; 5] = ["time", "task", "memory", "crypto", "metrics"];

/// What each module of the server may import besides the leaves and itself; `*` is everything. The
/// table of `docs/architecture.md`.
const MAY_IMPORT: [(&str, &[&str]); 24] = [
    ("lib", &[]),
    ("main", &["cli"]),
    ("cli", &["*"]),
    ("app", &["*"]),
    ("config", &["*"]),
    ("time", &[]),
    ("task", &[]),
    ("memory", &[]),
    ("crypto", &[]),
    // It exports what the journal, in a crate below, counts of itself.
    ("metrics", &["journal"]),
    ("store", &[]),
    ("journal", &["store"]),
    ("blob", &["store"]),
    ("auth", &["store"]),
    ("cluster", &["store"]),
    ("document", &["journal", "store"]),
    ("records", &["journal", "store"]),
    ("history", &["document", "journal", "blob", "store"]),
    ("vault", &["history", "document", "journal", "blob", "store"]),
    ("backup", &["journal", "blob", "store"]),
    ("webhook", &["vault", "history", "document", "records", "auth", "journal", "blob", "store"]),
    ("peer", &["auth", "vault", "records", "document", "blob", "journal"]),
    ("relay", &["auth", "cluster", "vault", "records", "document"]),
    (
        "http",
        &[
            "history", "vault", "records", "blob", "auth", "document", "webhook", "peer",
            "cluster", "backup",
        ],
    ),
];

/// Modules of the server import only what the table allows.
pub(super) fn server_modules(source: &Source) -> Vec<String> {
    let inside = SERVER_ROOTS.iter().find_map(|root| source.path.strip_prefix(root));
    let Some(inside) = inside.and_then(|path| path.strip_suffix(".rs")) else { return Vec::new() };
    // A test builds whatever its module is handed.
    if source.is_test() {
        return Vec::new();
    }
    let inside = inside.strip_suffix("/mod").unwrap_or(inside);
    let module = inside.split('/').next().expect("a path has a first part");
    let Some((_, allowed)) = MAY_IMPORT.iter().find(|(name, _)| *name == module) else {
        return vec![source.finding(0, "this module has no place in the house (tidy/arrows.rs)")];
    };
    let depth = inside.split('/').count();
    let mut findings = Vec::new();
    for (line, text) in source.code.lines().enumerate() {
        for import in imports(text, depth) {
            let is_free = import == module || LEAVES.contains(&import) || allowed.contains(&"*");
            let is_known = MAY_IMPORT.iter().any(|(name, _)| *name == import);
            if is_known && !is_free && !allowed.contains(&import) {
                findings.push(source.finding(line, &format!("{module} may not import {import}")));
            }
        }
    }
    findings
}

/// The top modules that a line names, by `crate::` or the name of a crate that left the server, by
/// a group after it, or by climbing to the root.
fn imports(line: &str, depth: usize) -> Vec<&str> {
    let climbed = "super::".repeat(depth);
    let mut found = Vec::new();
    for prefix in ["crate::", "sheaf_storage::", "sheaf_ground::", climbed.as_str()] {
        for (at, _) in line.match_indices(prefix) {
            let before = line[..at].trim_end();
            if before.ends_with("super::")
                || before.ends_with(|c: char| c.is_alphanumeric())
                    && at > 0
                    && line.as_bytes()[at - 1] != b' '
            {
                continue; // the tail of a longer path or word
            }
            let rest = &line[at + prefix.len()..];
            match rest.strip_prefix('{') {
                Some(group) => found.extend(group_heads(group)),
                None => found.push(word(rest)),
            }
        }
    }
    found
}

/// The first words of a group's members: `a::b, c::{d, e}}` gives `a`, `c`.
fn group_heads(group: &str) -> Vec<&str> {
    let (mut heads, mut depth, mut start) = (Vec::new(), 0, 0);
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => {
                heads.push(word(group[start..at].trim()));
                return heads;
            }
            '}' => depth -= 1,
            ',' if depth == 0 => {
                heads.push(word(group[start..at].trim()));
                start = at + 1;
            }
            _ => {}
        }
    }
    heads.push(word(group[start..].trim()));
    heads
}

fn word(text: &str) -> &str {
    let end = text.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(text.len());
    &text[..end]
}

/// Only `document/state` names yrs. Tests may: they need updates to feed.
pub(super) fn yrs_in_one_place(source: &Source) -> Vec<String> {
    only_in(source, "yrs", "server/src/document/state")
}

/// Only `document/registry` names the concurrent map: its guards deadlock when held carelessly.
pub(super) fn dashmap_in_one_place(source: &Source) -> Vec<String> {
    let mut findings = only_in(source, "DashMap", "server/src/document/registry");
    findings.extend(only_in(source, "dashmap", "server/src/document/registry"));
    findings
}

fn only_in(source: &Source, name: &str, home: &str) -> Vec<String> {
    let is_home = source.path.starts_with(home);
    if !source.path.starts_with("server/src/") || source.is_test() || is_home {
        return Vec::new();
    }
    named(source, name, &format!("only {home}* may name {name}"))
}

/// One finding for each line whose code holds the name as a word.
fn named(source: &Source, name: &str, what: &str) -> Vec<String> {
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    let has = |line: &str| {
        line.match_indices(name).any(|(at, _)| {
            !line[..at].ends_with(is_part) && !line[at + name.len()..].starts_with(is_part)
        })
    };
    let lines = source.code.lines().enumerate().filter(|(_, line)| has(line));
    lines.map(|(line, _)| source.finding(line, what)).collect()
}

/// Re-exports at a root of the server would hide arrows.
pub(super) fn no_re_exports(source: &Source) -> Vec<String> {
    if !SERVER_ROOTS.iter().any(|root| source.path == format!("{root}lib.rs")) {
        return Vec::new();
    }
    let lines = source.code.lines().enumerate().filter(|(_, line)| line.contains("pub use"));
    lines.map(|(line, _)| source.finding(line, "the root re-exports nothing")).collect()
}

/// Which crates may know which: clients not the server, the protocol nobody and no world.
pub(super) fn crates(source: &Source) -> Vec<String> {
    let is_under = |folder: &str| source.path.starts_with(folder);
    let mut findings = Vec::new();
    let mut forbid = |names: &[&str]| {
        for name in names {
            let what = format!("this crate may not know {name}");
            if source.path.ends_with("Cargo.toml") {
                let lines = source.text.lines().enumerate();
                let lines = lines.filter(|(_, line)| line.starts_with(name));
                findings.extend(lines.map(|(line, _)| source.finding(line, &what)));
            } else {
                findings.extend(named(source, name, &what));
            }
        }
    };
    if is_under("client-lib/") || is_under("loadtest/") || is_under("bindings/") {
        forbid(&["sheaf_server", "sheaf-server", "sheaf_storage", "sheaf-storage"]);
        forbid(&["sheaf_ground", "sheaf-ground"]);
    }
    if is_under("server/storage/") || is_under("server/ground/") {
        forbid(&["sheaf_server", "sheaf-server", "yrs", "warp", "hyper"]);
    }
    if is_under("server/ground/") {
        forbid(&["sheaf_storage", "sheaf-storage", "sheaf_protocol", "sheaf-protocol"]);
    }
    if is_under("server/import/") {
        forbid(&["sheaf_server", "sheaf-server", "sheaf_storage", "sheaf-storage"]);
        forbid(&["sheaf_ground", "sheaf-ground", "tokio", "yrs", "hyper", "reqwest"]);
    }
    if is_under("protocol/") && !source.is_test() {
        forbid(&["sheaf_server", "sheaf-server", "sheaf_client", "sheaf-client"]);
        forbid(&["tokio", "yrs", "std::fs", "std::net", "std::io", "std::thread", "std::env"]);
    }
    findings
}
