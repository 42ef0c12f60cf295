//! Help, completions and man pages.

use super::{arg, run, sheaf};

const COMMANDS: [&str; 11] = [
    "serve",
    "config",
    "token",
    "status",
    "doc",
    "verify",
    "dump",
    "repair",
    "ysweet",
    "completions",
    "man",
];

#[test]
fn the_help_names_every_command_and_exit_code_without_colours() {
    let help = sheaf(&["--help"]).ends_with(0).out;
    for command in COMMANDS {
        assert!(help.contains(&format!("\n  {command} ")), "{command} is not in {help}");
    }
    assert!(help.contains("Exit codes:") && !help.contains('\u{1b}'), "{help}");
    for command in COMMANDS {
        sheaf(&[command, "--help"]).ends_with(0);
    }
    let serve = sheaf(&["serve", "--help"]).out;
    assert!(serve.contains("limits.connections_max = 10000"), "{serve}");
}

#[test]
fn colours_follow_the_conventions() {
    let forced = run(&["--help"], &[("CLICOLOR_FORCE", "1")], b"").ends_with(0);
    assert!(forced.out.contains('\u{1b}'), "asked for");
    let error = ["doc", "ls"];
    assert!(run(&error, &[("CLICOLOR_FORCE", "1")], b"").err.contains('\u{1b}'), "asked for");
    assert!(!sheaf(&error).err.contains('\u{1b}'), "no terminal");
}

#[test]
fn what_cannot_be_understood_ends_with_2() {
    for arguments in [&["surprise"][..], &[], &["doc"], &["config", "chek"], &["completions"]] {
        let run = sheaf(arguments).ends_with(2);
        assert!(run.out.is_empty() && !run.err.is_empty(), "{arguments:?}");
    }
}

#[test]
fn each_shell_gets_a_completion_script() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = sheaf(&["completions", shell]).ends_with(0).out;
        assert!(script.contains("import") && script.contains("completions"), "{shell}");
    }
    sheaf(&["completions", "dos"]).ends_with(2);
}

#[test]
fn each_command_gets_a_man_page() {
    let page = sheaf(&["man"]).ends_with(0).out;
    assert!(page.contains(".TH sheaf 1"), "{page}");
    let dir = tempfile::tempdir().expect("a temporary directory");
    let out = dir.path().join("man1");
    sheaf(&["man", "--out", arg(&out)]).ends_with(0);
    for name in COMMANDS.iter().chain(&["config-check", "doc-import", "doc-export", "ysweet-serve"])
    {
        let page = out.join(format!("sheaf-{name}.1"));
        let text = std::fs::read_to_string(&page).unwrap_or_else(|_| panic!("{}", page.display()));
        assert!(text.contains(".SH SYNOPSIS"), "{name}");
    }
    let taken = dir.path().join("file");
    std::fs::write(&taken, "").expect("written");
    sheaf(&["man", "--out", arg(&taken)]).ends_with(1);
}
