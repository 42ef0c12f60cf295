//! The house rules, as tests: who may import whom, how long things may be, what must be said at the
//! top, and that the documentation names only what exists. Standard library only, well under a
//! second.
//!
//! Each rule is a function from one source to its findings, tried on this repository and on a small
//! bad example.

mod arrows;
mod prose;
mod shape;
mod source;

use source::Source;

/// Runs a rule over the whole tree and fails with every finding.
fn hold(rule: fn(&Source) -> Vec<String>) {
    let findings: Vec<String> = source::tree().iter().flat_map(rule).collect();
    assert!(findings.is_empty(), "\n{}\n", findings.join("\n"));
}

/// A rule that finds nothing in a bad example is no rule.
fn refuse(rule: fn(&Source) -> Vec<String>, path: &str, text: &str) {
    assert!(!rule(&Source::new(path, text)).is_empty(), "the rule accepts {path}: {text}");
}

/// And one that finds something in a good example is in the way.
fn accept(rule: fn(&Source) -> Vec<String>, path: &str, text: &str) {
    let findings = rule(&Source::new(path, text));
    assert!(findings.is_empty(), "{findings:?}");
}

#[test]
fn modules_import_only_what_lies_below_them() {
    hold(arrows::server_modules);
    refuse(
        arrows::server_modules,
        "server/storage/src/store/sled.rs",
        "use crate::journal::Journal;",
    );
    refuse(arrows::server_modules, "server/src/relay.rs", "use crate::{time, store::Store};");
    refuse(
        arrows::server_modules,
        "server/storage/src/store/keys/log.rs",
        "super::super::super::http::x()",
    );
    refuse(arrows::server_modules, "server/src/surprise.rs", "use crate::time::Clock;");
    accept(arrows::server_modules, "server/storage/src/journal.rs", "use crate::store::Store;");
    accept(
        arrows::server_modules,
        "server/storage/src/store/keys/log.rs",
        "use super::super::engine::E;",
    );
    accept(
        arrows::server_modules,
        "server/storage/src/store.rs",
        "// see crate::journal\nlet a = \"crate::http\";",
    );
}

#[test]
fn only_the_state_of_a_document_names_yrs() {
    hold(arrows::yrs_in_one_place);
    refuse(arrows::yrs_in_one_place, "server/src/relay/session.rs", "use yrs::Doc;");
    accept(arrows::yrs_in_one_place, "server/src/document/state.rs", "use yrs::Doc;");
    accept(arrows::yrs_in_one_place, "server/src/document/state/gaps.rs", "use yrs::Doc;");
    accept(arrows::yrs_in_one_place, "server/src/document/tests.rs", "use yrs::Doc;");
}

#[test]
fn only_the_registry_names_the_shared_map() {
    hold(arrows::dashmap_in_one_place);
    refuse(arrows::dashmap_in_one_place, "server/src/relay.rs", "struct A(DashMap<u8, u8>);");
    accept(
        arrows::dashmap_in_one_place,
        "server/src/document/registry.rs",
        "use dashmap::DashMap;",
    );
}

#[test]
fn the_servers_root_re_exports_nothing() {
    hold(arrows::no_re_exports);
    refuse(arrows::no_re_exports, "server/src/lib.rs", "pub use document::Registry;");
}

#[test]
fn crates_import_only_what_the_house_allows() {
    hold(arrows::crates);
    refuse(arrows::crates, "client-lib/src/link.rs", "use sheaf_server::app::App;");
    refuse(arrows::crates, "client-lib/Cargo.toml", "sheaf-server.workspace = true");
    refuse(arrows::crates, "loadtest/src/main.rs", "sheaf_server::run();");
    refuse(arrows::crates, "bindings/python/src/lib.rs", "use sheaf_storage::store;");
    refuse(arrows::crates, "server/import/src/lib.rs", "use sheaf_server::document::state::State;");
    refuse(arrows::crates, "server/import/Cargo.toml", "reqwest.workspace = true");
    refuse(arrows::crates, "protocol/src/frame.rs", "use tokio::net::TcpStream;");
    refuse(arrows::crates, "protocol/src/frame.rs", "use std::fs::File;");
    refuse(arrows::crates, "protocol/Cargo.toml", "yrs.workspace = true");
    accept(arrows::crates, "protocol/src/frame.rs", "use std::collections::BTreeMap;");
}

#[test]
fn files_are_at_most_five_hundred_lines_without_their_tests() {
    hold(shape::file_lines);
    refuse(shape::file_lines, "server/src/a.rs", &"let a = 1;\n".repeat(501));
    accept(shape::file_lines, "server/src/a.rs", &"let a = 1;\n".repeat(500));
    accept(shape::file_lines, "server/src/a/tests.rs", &"let a = 1;\n".repeat(501));
    refuse(shape::file_lines, "server/src/main.rs", &"let a = 1;\n".repeat(31));
}

#[test]
fn functions_are_at_most_seventy_lines() {
    hold(shape::function_lines);
    let function =
        |lines| format!("    pub(crate) async fn a() {{\n{}    }}\n", "x();\n".repeat(lines));
    refuse(shape::function_lines, "server/src/a.rs", &function(69));
    accept(shape::function_lines, "server/src/a.rs", &function(68));
}

#[test]
fn lines_are_at_most_a_hundred_columns() {
    hold(shape::columns);
    refuse(shape::columns, "server/src/a.rs", &"x".repeat(101));
    accept(shape::columns, "server/src/a.rs", &"ü".repeat(100));
}

#[test]
fn functions_take_at_most_six_parameters() {
    hold(shape::parameters);
    let seven =
        "fn a<F: Fn(u8, u8) -> u8>(\n    a: u8, b: u8, c: u8, d: u8, e: u8, f: u8, g: u8) {}";
    refuse(shape::parameters, "server/src/a.rs", seven);
    let six =
        "fn a(&self, b: Map<u8, u8>, c: impl Fn(u8, u8) -> u8, d: (u8, u8), e: u8, f: u8,) {}";
    accept(shape::parameters, "server/src/a.rs", six);
}

#[test]
fn every_module_says_its_job_and_in_the_server_its_never() {
    hold(shape::opening);
    refuse(shape::opening, "protocol/src/a.rs", "use std::fmt;");
    refuse(shape::opening, "server/src/a.rs", "//! A leaf.\nuse std::fmt; // Never");
    accept(shape::opening, "server/src/a.rs", "//! A leaf.\n//!\n//! Never reads a clock.\n");
}

#[test]
fn no_module_is_a_drawer_for_everything() {
    hold(shape::names);
    refuse(shape::names, "server/src/utils.rs", "");
    refuse(shape::names, "server/src/http/types/a.rs", "");
}

#[test]
fn paths_named_in_the_documentation_exist() {
    hold(prose::named_paths);
    refuse(prose::named_paths, "docs/architecture.md", "see `server/src/gone.rs`");
    refuse(prose::named_paths, "README.md", "the folder `attic/` is");
    accept(
        prose::named_paths,
        "README.md",
        "`tests/src/lib.rs`, `/healthz`, `a b/c.d`, `ws://h/a.b`",
    );
    accept(prose::named_paths, "README.md", "made by the build: `target/release/sheaf.d`");
}

#[test]
fn no_file_names_a_path_of_the_machine_it_was_made_on() {
    hold(prose::machine_paths);
    refuse(prose::machine_paths, "docs/a.md", concat!("run it in /wo", "rk/main"));
    refuse(prose::machine_paths, "Makefile", concat!("/ro", "ot/.cargo/bin"));
    accept(prose::machine_paths, "docs/a.md", "docs/work/plan");
}
