//! `sheaf ysweet`: the command line of the Y-Sweet server, so that what starts one can start this.
//!
//! Called by `cli`. Never a server of another kind: `serve` is `sheaf serve` with other flags.

use std::io::{self, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::process::ExitCode;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use clap::Subcommand;
use figment::value::Value;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::json;
use sha2::Sha256;
use sheaf_protocol::ids::VaultName;

use super::{WrongUse, environment, serve};
use crate::auth::base::Base;
use crate::auth::token::{BYTES_MIN, TokenHash};
use crate::config::Sources;

/// The name that a server token acts under.
pub(super) const USER: &str = "y-sweet";
/// What the server token is made of besides the key, so that no other use of the key makes one.
const PURPOSE: &[u8] = b"sheaf y-sweet server token 1\0";

const EXAMPLES: &str = "\
Examples:
  sheaf ysweet serve --port 8080 ./data
  sheaf ysweet gen-auth --json
  Y_SWEET_AUTH=… sheaf ysweet serve --host 0.0.0.0 ./data

The keys of `sheaf serve` hold here too, as environment variables. To serve Y-Sweet's clients no
command of its own is needed: every `sheaf serve` does, and `sheaf token ysweet` makes the token.";

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve documents, as `sheaf serve` does, by the flags of `y-sweet serve`
    Serve(Flags),
    /// Make a key for `serve --auth`, and the token that goes with it
    GenAuth {
        /// One JSON object instead of lines
        #[arg(long)]
        json: bool,
    },
}

#[derive(Debug, clap::Args)]
struct Flags {
    /// Directory for everything that is kept
    #[arg(value_name = "DIR", env = "Y_SWEET_STORE")]
    dir: String,
    /// Address to listen on
    #[arg(long, value_name = "IP", default_value_t = Ipv4Addr::LOCALHOST.into())]
    #[arg(env = "Y_SWEET_HOST")]
    host: IpAddr,
    /// Port to listen on
    #[arg(long, default_value_t = 8080, env = "PORT")]
    port: u16,
    /// The private key of `gen-auth`: a token is needed then. Better in the environment, where
    /// other users of the machine do not see it
    #[arg(long, value_name = "KEY", env = "Y_SWEET_AUTH", hide_env_values = true)]
    auth: Option<String>,
    /// How clients reach the server, if not as their requests are addressed
    #[arg(long, value_name = "URL", env = "Y_SWEET_URL_PREFIX")]
    url_prefix: Option<Base>,
    /// Let everyone who can reach the address read and write
    #[arg(long)]
    allow_anonymous: bool,
    /// Taken and of no effect: nothing here is for development alone
    #[arg(long)]
    prod: bool,
    /// Taken and of no effect: an edit is on disk before it is acknowledged
    #[arg(long, value_name = "SECONDS")]
    checkpoint_freq_seconds: Option<u64>,
}

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    match &arguments.command {
        Command::Serve(flags) => serve::serve(&flags.sources()?),
        Command::GenAuth { json } => {
            let mut out = io::stdout().lock();
            let key = URL_SAFE_NO_PAD.encode(rand::random::<[u8; 32]>());
            let token = server_token(&key);
            if *json {
                let pair = json!({ "private_key": key, "server_token": token });
                writeln!(out, "{}", serde_json::to_string_pretty(&pair)?)?;
            } else {
                writeln!(out, "private key, for `sheaf ysweet serve --auth`:\n  {key}\n")?;
                writeln!(out, "server token, for your backend:\n  {token}\n")?;
                let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 8080));
                writeln!(out, "as a connection string:\n  ys://{token}@{address}")?;
            }
            Ok(ExitCode::SUCCESS)
        }
    }
}

impl Flags {
    /// What the flags say in the words of the configuration.
    fn sources(&self) -> Result<Sources, WrongUse> {
        if self.dir.contains("://") {
            let what = format!("{:?} is no directory: documents are kept on disk", self.dir);
            return Err(WrongUse(what));
        }
        let listen = SocketAddr::from((self.host, self.port)).to_string();
        let mut flags =
            vec![("listen", Value::from(vec![listen])), ("data", Value::from(self.dir.as_str()))];
        if let Some(base) = &self.url_prefix {
            flags.push(("public_url", Value::from(base.http())));
        }
        if self.allow_anonymous {
            flags.push(("allow_anonymous", Value::from(true)));
        }
        if let Some(key) = &self.auth {
            if key.len() < BYTES_MIN {
                let what = "a key has 16 bytes or more; make one with: sheaf ysweet gen-auth";
                return Err(WrongUse(what.to_owned()));
            }
            flags.push(("users", user(key)));
        }
        Ok(Sources { file: None, environment: environment(), flags })
    }
}

/// The one user, who lets in all others.
fn user(key: &str) -> Value {
    let user = json!([{
        "name": USER,
        "token_hash": TokenHash::of(&server_token(key)).text(),
        "vaults": [VaultName::DEFAULT],
        "role": "admin",
    }]);
    Value::serialize(user).expect("plain data")
}

/// The token that belongs to a private key.
fn server_token(key: &str) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(key.as_bytes()).expect("any length is a key");
    mac.update(PURPOSE);
    URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes())
}

#[cfg(test)]
mod tests;
