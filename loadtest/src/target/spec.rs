//! A server as it was named on the command line, or as the rig knows it: how to reach it, or how to
//! start it.

use std::path::{Path, PathBuf};

use anyhow::Context;

use crate::outcome::{Dialect, Server};

/// A server that can be measured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Spec {
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) dialect: Dialect,
    pub(crate) is_floor: bool,
    pub(crate) origin: Origin,
}

/// Where it comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Origin {
    /// Somebody else started it.
    Running { url: String, pid: Option<u32> },
    /// The rig starts it: program and arguments, with `{port}` and `{dir}` in them.
    Command(Vec<String>),
}

impl Spec {
    /// The rig's own relay.
    ///
    /// # Errors
    /// When this program cannot be found.
    pub(crate) fn floor() -> anyhow::Result<Self> {
        let own = std::env::current_exe().context("finding this program")?;
        let words = [&text(&own)?, "floor", "--listen", "127.0.0.1:{port}"].map(str::to_owned);
        Ok(Self {
            name: "floor".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            dialect: Dialect::YWebsocket,
            is_floor: true,
            origin: Origin::Command(words.into()),
        })
    }

    /// The Sheaf that was built beside this program: its journal is on, it logs warnings only.
    ///
    /// # Errors
    /// When there is none.
    pub(crate) fn sheaf() -> anyhow::Result<Self> {
        let program =
            std::env::current_exe().context("finding this program")?.with_file_name("sheaf");
        anyhow::ensure!(
            program.exists(),
            "there is no {}: build it (with --release), or name a server with --start or --url",
            program.display()
        );
        let serve = ["serve", "--listen", "127.0.0.1:{port}", "--data", "{dir}", "--log", "warn"];
        let mut words = vec![text(&program)?];
        words.extend(serve.map(str::to_owned));
        Ok(Self {
            name: "sheaf".to_owned(),
            version: version(&program),
            dialect: Dialect::YWebsocket,
            is_floor: false,
            origin: Origin::Command(words),
        })
    }

    /// A server that runs already.
    pub(crate) fn running(url: &str, pid: Option<u32>, dialect: Dialect) -> Self {
        Self {
            name: "server".to_owned(),
            version: String::new(),
            dialect,
            is_floor: false,
            origin: Origin::Running { url: url.to_owned(), pid },
        }
    }

    /// A command line, cut into words as a shell does, without a shell.
    ///
    /// # Errors
    /// When a quote is not closed or nothing is there.
    pub(crate) fn command(name: &str, line: &str, dialect: Dialect) -> anyhow::Result<Self> {
        let words = shlex::split(line).with_context(|| format!("an open quote in: {line}"))?;
        anyhow::ensure!(!words.is_empty(), "{name}: there is no command");
        Ok(Self {
            name: name.to_owned(),
            version: String::new(),
            dialect,
            is_floor: false,
            origin: Origin::Command(words),
        })
    }

    /// What outcomes say of it.
    pub(crate) fn server(&self) -> Server {
        Server {
            name: self.name.clone(),
            version: self.version.clone(),
            command: self.shown(),
            dialect: self.dialect,
            is_floor: self.is_floor,
        }
    }

    /// How it is started, or its address.
    fn shown(&self) -> String {
        match &self.origin {
            Origin::Running { url, .. } => url.clone(),
            // A path before a program is of one machine and says nothing elsewhere.
            Origin::Command(words) => {
                let short = words.iter().map(|word| match Path::new(word).is_absolute() {
                    true => Path::new(word).file_name().unwrap_or_default().to_string_lossy(),
                    false => word.into(),
                });
                short.collect::<Vec<_>>().join(" ")
            }
        }
    }
}

/// `NAME=COMMAND` of `--vs`.
///
/// # Errors
/// When it has another form.
pub(crate) fn named(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, rest)) if !name.is_empty() && !name.contains(char::is_whitespace) => {
            Ok((name.to_owned(), rest.to_owned()))
        }
        _ => Err("it has the form NAME=COMMAND".to_owned()),
    }
}

/// What a program calls itself with `--version`, without its name.
fn version(program: &PathBuf) -> String {
    let asked = std::process::Command::new(program).arg("--version").output();
    let said = asked.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
    said.unwrap_or_default().split_whitespace().skip(1).collect::<Vec<_>>().join(" ")
}

fn text(path: &Path) -> anyhow::Result<String> {
    let path = path.to_str().with_context(|| format!("{} is not UTF-8", path.display()))?;
    Ok(path.to_owned())
}

#[cfg(test)]
mod tests;
