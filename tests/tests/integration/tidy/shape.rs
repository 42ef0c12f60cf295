//! How long, how wide, how named, and what is said first.

use super::Source;

const FILE_LINES_MAX: usize = 500;
/// The binary only calls.
const MAIN_LINES_MAX: usize = 30;
const FUNCTION_LINES_MAX: usize = 70;
const COLUMNS_MAX: usize = 100;
const PARAMETERS_MAX: usize = 6;
/// Names under which anything could be put.
const DRAWERS: [&str; 8] =
    ["util", "utils", "common", "helper", "helpers", "types", "misc", "shared"];

/// A file is at most 500 lines, tests not counted; the server's `main` 30.
pub(super) fn file_lines(source: &Source) -> Vec<String> {
    if !source.is_rust() || source.is_test() {
        return Vec::new();
    }
    let is_main = source.path == "server/src/main.rs";
    let max = if is_main { MAIN_LINES_MAX } else { FILE_LINES_MAX };
    let lines: Vec<&str> = source.text.lines().collect();
    let inline_tests = lines.windows(2).position(|pair| {
        pair[0].starts_with("#[cfg(test)]") && pair[1].starts_with("mod ") && pair[1].ends_with('{')
    });
    let count = inline_tests.unwrap_or(lines.len());
    if count <= max {
        return Vec::new();
    }
    vec![source.finding(max, &format!("{count} lines, at most {max}"))]
}

/// A function is at most 70 lines, from its `fn` to its brace. Relies on rustfmt's indentation.
pub(super) fn function_lines(source: &Source) -> Vec<String> {
    let lines: Vec<&str> = source.code.lines().collect();
    let mut findings = Vec::new();
    for (start, line) in lines.iter().enumerate() {
        let Some(indent) = function_indent(line) else { continue };
        let is_end = |line: &&str| line.starts_with(&format!("{}}}", " ".repeat(indent)));
        let is_short = line.trim_end().ends_with(['}', ';']);
        let Some(length) = lines[start..].iter().position(is_end) else { continue };
        if !is_short && length + 1 > FUNCTION_LINES_MAX {
            findings.push(source.finding(start, &format!("a function of {} lines", length + 1)));
        }
    }
    findings
}

/// The indentation of a line that opens a function.
fn function_indent(line: &str) -> Option<usize> {
    let trimmed = line.trim_start();
    let at = trimmed.find("fn ")?;
    let is_opening = trimmed[..at].split_whitespace().all(|word| {
        ["pub", "async", "const", "extern"].contains(&word) || word.starts_with("pub(")
    });
    is_opening.then_some(line.len() - trimmed.len())
}

/// A line is at most 100 columns, unless it holds an address that cannot be broken.
pub(super) fn columns(source: &Source) -> Vec<String> {
    if !source.is_rust() {
        return Vec::new();
    }
    let is_long = |line: &str| line.chars().count() > COLUMNS_MAX && !line.contains("https://");
    let lines = source.text.lines().enumerate().filter(|(_, line)| is_long(line));
    lines.map(|(line, _)| source.finding(line, "wider than 100 columns")).collect()
}

/// A function takes at most six parameters, `self` included.
pub(super) fn parameters(source: &Source) -> Vec<String> {
    let mut findings = Vec::new();
    for (at, _) in source.code.match_indices("fn ") {
        if source.code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_') {
            continue;
        }
        let count = parameter_count(&source.code[at..]);
        if count > PARAMETERS_MAX {
            let line = source.code[..at].matches('\n').count();
            findings.push(source.finding(line, &format!("{count} parameters, at most six")));
        }
    }
    findings
}

/// Counts the parameters of the function whose text begins here.
fn parameter_count(text: &str) -> usize {
    let (mut angle, mut depth, mut count, mut is_pending, mut before) = (0, 0, 0, false, ' ');
    for c in text.chars() {
        match c {
            '<' => angle += 1,
            '>' if before != '-' && before != '=' => angle -= 1,
            '(' if angle > 0 => {}
            ')' if angle > 0 => {}
            '(' | '[' | '{' => {
                is_pending |= depth > 0;
                depth += 1;
            }
            ')' | ']' | '}' => {
                depth -= 1;
                if depth == 0 {
                    return count + usize::from(is_pending);
                }
            }
            ',' if angle == 0 && depth == 1 => {
                count += usize::from(is_pending);
                is_pending = false;
            }
            ';' if depth == 0 => return 0,
            c if depth > 0 && !c.is_whitespace() => is_pending = true,
            _ => {}
        }
        before = c;
    }
    0
}

/// Every module opens with its job; in the server the opening also says what it never does.
///
/// Files of unit tests are exempt: the module that they test speaks for them.
pub(super) fn opening(source: &Source) -> Vec<String> {
    if !source.is_rust() || source.path.ends_with("/tests.rs") {
        return Vec::new();
    }
    let opening: Vec<&str> = source
        .text
        .lines()
        .skip_while(|line| line.is_empty() || line.starts_with("#!"))
        .take_while(|line| line.starts_with("//!"))
        .collect();
    if opening.is_empty() {
        return vec![source.finding(0, "a module opens with `//!` and its job")];
    }
    let needs_never =
        source.path.starts_with("server/") && source.path.contains("/src/") && !source.is_test();
    if needs_never && !opening.iter().any(|line| line.contains("Never")) {
        return vec![source.finding(0, "the opening says what the module does \"Never\"")];
    }
    Vec::new()
}

/// No module is a drawer.
pub(super) fn names(source: &Source) -> Vec<String> {
    let stem = source.path.strip_suffix(".rs").unwrap_or("");
    let drawer = stem.split('/').find(|part| DRAWERS.contains(part));
    drawer.map(|name| source.finding(0, &format!("`{name}` names no job"))).into_iter().collect()
}
