//! The examples of `docs/http-api.md` are run as they stand there, and answer what they say.

use std::path::Path;
use std::process::Command;

use sheaf_tests::server::Server;

/// Where the page says that the server is.
const WRITTEN: &str = "127.0.0.1:1234";
/// Stands for any text in what is expected.
const ANYTHING: char = '…';

/// What the page holds.
enum Example {
    /// A command and what it prints.
    Command(String, String),
    /// A file by its name.
    File(String, String),
}

fn examples(page: &str) -> Vec<Example> {
    let mut found = Vec::new();
    let mut lines = page.lines();
    while let Some(line) = lines.next() {
        let block: Vec<&str> = match line {
            "```console" | "```python" => lines.by_ref().take_while(|it| *it != "```").collect(),
            _ => continue,
        };
        if line == "```python" {
            let name = block[0].trim_start_matches("# ").to_owned();
            found.push(Example::File(name, block.join("\n")));
            continue;
        }
        for line in block {
            match (line.strip_prefix("$ "), found.last_mut()) {
                (Some(command), _) => {
                    found.push(Example::Command(command.to_owned(), String::new()));
                }
                (None, Some(Example::Command(_, output))) => *output += &format!("{line}\n"),
                (None, _) => panic!("output without a command: {line}"),
            }
        }
    }
    found
}

/// Whether a text is what is expected, any text standing for `…`.
fn fits(expected: &str, text: &str) -> bool {
    let mut parts = expected.trim_end().split(ANYTHING);
    let first = parts.next().unwrap_or_default();
    let Some(mut left) = text.trim_end().strip_prefix(first) else { return false };
    let parts: Vec<&str> = parts.collect();
    for (place, part) in parts.iter().enumerate() {
        let at = if place + 1 == parts.len() { left.rfind(part) } else { left.find(part) };
        let Some(at) = at else { return false };
        left = &left[at + part.len()..];
    }
    left.is_empty()
}

#[test]
fn an_ellipsis_stands_for_any_text() {
    assert!(fits("a…c", "abbc\n") && fits("…", "") && fits("{…}", "{\"a\":{}}") && fits("a", "a"));
    assert!(!fits("a…c", "abb") && !fits("a", "ab") && !fits("a…", "b"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_examples_of_the_page_do_what_it_says() {
    let server = Server::start().await;
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/http-api.md");
    let page = std::fs::read_to_string(page).expect("the page is committed");
    let page = page.replace(WRITTEN, &server.address().to_string());
    let dir = tempfile::tempdir().expect("a folder");
    let examples = examples(&page);
    let mut script = String::from("set -u\n");
    for (place, example) in examples.iter().enumerate() {
        match example {
            Example::File(name, text) => {
                std::fs::write(dir.path().join(name), text).expect("written");
            }
            // The mark goes on a line of its own, also after an answer without an end of line.
            Example::Command(command, _) => {
                script += &format!("{command}\nprintf '\\n@@%d %d\\n' {place} $?\n");
            }
        }
    }
    let run = tokio::task::spawn_blocking(move || {
        let mut bash = Command::new("bash");
        bash.args(["-c", &script]).current_dir(dir.path()).env_remove("http_proxy");
        (bash.output().expect("bash is there"), dir)
    });
    let (output, _dir) = run.await.expect("it ends");
    let printed = String::from_utf8(output.stdout).expect("text");
    let mut left = printed.as_str();
    let (mut wrong, mut count) = (Vec::new(), 0);
    for (place, example) in examples.iter().enumerate() {
        let Example::Command(command, expected) = example else { continue };
        let mark = format!("\n@@{place} ");
        let (said, rest) = left.split_once(&mark).unwrap_or_else(|| panic!("no end of {command}"));
        let (code, rest) = rest.split_once('\n').expect("a code");
        left = rest;
        count += 1;
        let said = said.replace('\r', "");
        if code != "0" || !fits(expected, &said) {
            wrong.push(format!("$ {command}\n{said}\ninstead of\n{expected}(exit code {code})"));
        }
    }
    assert!(count > 20, "{count} examples");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(wrong.is_empty(), "{}\n{errors}", wrong.join("\n\n"));
}
