//! The servers that Sheaf is measured beside: where they are, what they are called, how they are
//! started. One that is not there is named with the reason.

use std::fs;
use std::path::Path;

use anyhow::Context;

use crate::machine::said;
use crate::outcome::Dialect;
use crate::target::spec::Spec;

/// A server, or why there is none.
pub(super) struct Peer {
    pub(super) name: &'static str,
    pub(super) spec: anyhow::Result<Spec>,
}

/// All of them, Sheaf and the floor first. `packages` holds what npm installed, `programs` what
/// cargo did.
pub(super) fn all(packages: &Path, programs: &Path) -> Vec<Peer> {
    let y_websocket = "node_modules/@y/websocket-server/src/server.js";
    vec![
        Peer { name: "sheaf", spec: Spec::sheaf() },
        Peer { name: "floor", spec: Spec::floor() },
        Peer {
            name: "y-websocket",
            spec: node(packages, y_websocket, &[], "@y/websocket-server")
                .and_then(|(line, version)| spec("y-websocket", &line, &version)),
        },
        Peer {
            name: "y-websocket-leveldb",
            spec: node(packages, y_websocket, &[], "@y/websocket-server").and_then(
                |(line, version)| {
                    let line = format!("env YPERSISTENCE={{dir}} {line}");
                    let leveldb = package_version(packages, "y-leveldb")?;
                    let version = format!("{version}, y-leveldb {leveldb}");
                    spec("y-websocket-leveldb", &line, &version)
                },
            ),
        },
        Peer { name: "hocuspocus", spec: hocuspocus(packages) },
        Peer { name: "y-sweet", spec: y_sweet(programs) },
        Peer { name: "yrs-warp", spec: yrs_warp(programs) },
    ]
}

fn hocuspocus(packages: &Path) -> anyhow::Result<Spec> {
    let database = "node_modules/better-sqlite3/build/Release/better_sqlite3.node";
    anyhow::ensure!(packages.join(database).exists(), "better-sqlite3 is not built: make peers");
    let (line, version) = node(packages, "hocuspocus.mjs", &["{dir}"], "@hocuspocus/server")?;
    let sqlite = package_version(packages, "better-sqlite3")?;
    let mut spec = spec("hocuspocus", &line, &format!("{version}, better-sqlite3 {sqlite}"))?;
    spec.dialect = Dialect::Hocuspocus;
    Ok(spec)
}

fn y_sweet(programs: &Path) -> anyhow::Result<Spec> {
    let program = program(programs, "y-sweet")?;
    let version = said(&program, &["version"]);
    let line = format!("{program} serve --host 127.0.0.1 {{dir}}");
    let mut spec = spec("y-sweet", &line, &version)?;
    spec.dialect = Dialect::YSweet;
    Ok(spec)
}

fn yrs_warp(programs: &Path) -> anyhow::Result<Spec> {
    let program = program(programs, "yrs-warp-host")?;
    spec("yrs-warp", &format!("{program} {{port}}"), &said(&program, &["--version"]))
}

/// A command line that runs a script with Node, and the version of its package.
fn node(
    packages: &Path,
    script: &str,
    arguments: &[&str],
    package: &str,
) -> anyhow::Result<(String, String)> {
    let engine = said("node", &["--version"]);
    anyhow::ensure!(!engine.is_empty(), "there is no node");
    let version = package_version(packages, package)?;
    let yjs = package_version(packages, "yjs")?;
    let script = fs::canonicalize(packages.join(script)).context("not installed: make peers")?;
    let script = quoted(&script)?;
    let line = format!("node {script} {}", arguments.join(" "));
    Ok((line, format!("{version}, yjs {yjs}, node {}", engine.trim_start_matches('v'))))
}

fn package_version(packages: &Path, package: &str) -> anyhow::Result<String> {
    let file = packages.join("node_modules").join(package).join("package.json");
    let text = fs::read_to_string(file).context("not installed: make peers")?;
    let json: serde_json::Value = serde_json::from_str(&text)?;
    let version = json["version"].as_str();
    Ok(version.with_context(|| format!("{package} has no version"))?.to_owned())
}

fn program(programs: &Path, name: &str) -> anyhow::Result<String> {
    quoted(&fs::canonicalize(programs.join(name)).context("not installed: make peers")?)
}

fn quoted(path: &Path) -> anyhow::Result<String> {
    let path = path.to_str().context("the path is not UTF-8")?;
    Ok(shlex::try_quote(path)?.into_owned())
}

fn spec(name: &str, line: &str, version: &str) -> anyhow::Result<Spec> {
    let mut spec = Spec::command(name, line, Dialect::YWebsocket)?;
    version.clone_into(&mut spec.version);
    Ok(spec)
}
