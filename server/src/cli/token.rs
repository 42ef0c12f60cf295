//! `sheaf token`: makes and hashes tokens.
//!
//! Called by `cli`. Never takes a token as an argument: those stand in the title of the process,
//! for everyone on the machine to read.

use std::io::{self, BufRead, IsTerminal, Write};
use std::process::ExitCode;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use clap::Subcommand;

use sheaf_protocol::ids::VaultName;

use super::{WrongUse, ysweet};
use crate::auth::base::Base;
use crate::auth::token::{BYTES_MIN, TokenHash};

/// 256 bits: nobody guesses it, so a fast hash is good enough to keep it as.
const TOKEN_BYTES: usize = 32;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make a token, and the lines for the configuration that let in who has it
    New {
        /// The user's name
        #[arg(long, default_value = "me")]
        name: String,
        /// What the user may do: read, write or admin
        #[arg(long, default_value = "write")]
        role: String,
        /// Print the token alone
        #[arg(long)]
        plain: bool,
    },
    /// Read a token from stdin and print its hash, for token_hash
    Hash,
    /// Make a token for the backend of an app that uses Y-Sweet's SDK, as its connection string
    Ysweet {
        /// The user's name
        #[arg(long, default_value = ysweet::USER)]
        name: String,
        /// Where the backend finds the server
        #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:1234")]
        server: Base,
    },
}

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let mut out = io::stdout().lock();
    match &arguments.command {
        Command::New { plain: true, .. } => writeln!(out, "{}", fresh())?,
        Command::New { name, role, .. } => {
            let token = fresh();
            let lines = lines(name, role, &TokenHash::of(&token))?;
            writeln!(out, "{token}\n")?;
            writeln!(
                out,
                "Give the token above to the user; it is shown this once. Let it in with:\n"
            )?;
            write!(out, "{lines}")?;
        }
        Command::Ysweet { name, server } => {
            let token = fresh();
            // An administrator, since it makes tokens in other people's names.
            let lines = lines(name, "admin", &TokenHash::of(&token))?;
            writeln!(out, "{}\n", connection_string(&token, server))?;
            writeln!(
                out,
                "Give the connection string above to the backend; it is shown this once. Let it \
                 in with:\n"
            )?;
            writeln!(out, "{lines}vaults = [\"{}\"]", VaultName::DEFAULT)?;
        }
        Command::Hash => writeln!(out, "{}", TokenHash::of(&told()?).text())?,
    }
    out.flush()?;
    Ok(ExitCode::SUCCESS)
}

fn fresh() -> String {
    URL_SAFE_NO_PAD.encode(rand::random::<[u8; TOKEN_BYTES]>())
}

/// As Y-Sweet's SDKs take it. A token of ours needs no escaping.
fn connection_string(token: &str, server: &Base) -> String {
    let scheme = if server.is_tls() { "yss" } else { "ys" };
    format!("{scheme}://{token}@{}", server.place())
}

/// What belongs into the configuration.
fn lines(name: &str, role: &str, hash: &TokenHash) -> Result<String, WrongUse> {
    if !["read", "write", "admin"].contains(&role) {
        return Err(WrongUse(format!("{role:?} is no role; it is read, write or admin")));
    }
    let name = toml::Value::String(name.to_owned());
    let hash = hash.text();
    Ok(format!("[[users]]\nname = {name}\ntoken_hash = \"{hash}\"\nrole = \"{role}\"\n"))
}

/// The first line of stdin.
fn told() -> anyhow::Result<String> {
    if io::stdin().is_terminal() {
        write!(io::stderr(), "Token (it will be visible): ")?;
        io::stderr().flush()?;
    }
    let mut line = String::new();
    io::stdin().lock().read_line(&mut line)?;
    let token = line.trim();
    if token.len() < BYTES_MIN {
        let what = format!("a token has {BYTES_MIN} bytes or more; make one with: sheaf token new");
        return Err(WrongUse(what).into());
    }
    Ok(token.to_owned())
}

#[cfg(test)]
mod tests;
