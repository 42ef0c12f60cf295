//! `sheaf config`: check, schema, print.
//!
//! Called by `cli`. Never starts or changes anything, and never shows a secret.

mod print;

use std::io::{self, Write};
use std::process::ExitCode;
use std::sync::Arc;

use serde_json::json;

use super::settings::Settings;
use super::{WRONG_USE, WrongUse, or_closed, paint, serve};
use crate::app;
use crate::auth::Auth;
use crate::config::risks::{Machine, risks};
use crate::config::{Config, keys};
use crate::relay::tls::Tls;
use crate::webhook::config::Hook;
use sheaf_ground::time::Clock;

const EXAMPLES: &str = "\
Examples:
  sheaf config check --config /etc/sheaf/sheaf.toml && systemctl reload sheaf
  sheaf config print --show-origin
  sheaf config schema > sheaf.schema.json      # for editors that know JSON schema
  sheaf config schema --markdown               # the page docs/configuration.md";

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Say whether `serve` would accept the configuration, and what may hurt; ends with 0 or 2
    Check {
        #[command(flatten)]
        settings: Settings,
        /// One JSON object instead of lines
        #[arg(long)]
        json: bool,
    },
    /// Print what `serve` would work with, as TOML; secrets are shown as "…"
    Print {
        #[command(flatten)]
        settings: Settings,
        /// Behind each key: flag, variable, file or default
        #[arg(long)]
        show_origin: bool,
    },
    /// Print the JSON schema of the file
    Schema {
        /// A page for people instead
        #[arg(long)]
        markdown: bool,
    },
}

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    match &arguments.command {
        Command::Check { settings, json } => check(settings, *json),
        Command::Print { settings, show_origin } => {
            let text = print::text(&settings.sources(), *show_origin)?;
            or_closed(anstream::stdout().write_all(text.as_bytes()))?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Schema { markdown } => {
            let text = if *markdown {
                keys::page()
            } else {
                serde_json::to_string_pretty(&keys::schema())? + "\n"
            };
            or_closed(io::stdout().write_all(text.as_bytes()))?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

fn check(settings: &Settings, is_json: bool) -> anyhow::Result<ExitCode> {
    let checked = settings.load().map_err(app::Error::from).and_then(|config| {
        would_start(&config)?;
        Ok(config)
    });
    let mut out = anstream::stdout();
    let (config, found) = match checked {
        Ok(config) => {
            let found = risks(&config, Machine::own());
            (config, found)
        }
        Err(error) if is_json => {
            let answer = json!({ "ok": false, "error": error.to_string(), "warnings": [] });
            writeln!(out, "{answer}")?;
            return Ok(ExitCode::from(WRONG_USE));
        }
        // Whatever it is, the configuration names it.
        Err(error) => return Err(WrongUse(error.to_string()).into()),
    };
    if is_json {
        let warnings = found.iter().map(|risk| json!({ "key": risk.key, "what": risk.what }));
        let warnings: Vec<_> = warnings.collect();
        writeln!(out, "{}", json!({ "ok": true, "error": null, "warnings": warnings }))?;
        return Ok(ExitCode::SUCCESS);
    }
    for risk in &found {
        writeln!(out, "{} {}: {}", paint::doubtful("warning:"), risk.key, risk.what)?;
    }
    let listen: Vec<_> = config.addresses().iter().map(ToString::to_string).collect();
    let well = paint::good("the configuration is right");
    writeln!(out, "{well}: it would listen on {}", listen.join(", "))?;
    if let Ok(dir) = config.data_dir() {
        writeln!(out, "and keep its data in {}", dir.display())?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Everything that `serve` refuses before it opens a file or a port.
fn would_start(config: &Config) -> Result<(), app::Error> {
    serve::filter(&config.log)?;
    let clock = Clock::system();
    Hook::all(&config.webhooks)?;
    config.telemetry.check()?;
    Auth::check(&config.auth(), &clock)?;
    config.tls.as_ref().map(|files| Tls::load(files, clock, Arc::default())).transpose()?;
    Ok(())
}
