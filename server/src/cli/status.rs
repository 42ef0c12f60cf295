//! `sheaf status`: a live view of a running server, or one look at it.
//!
//! Called by `cli`. Never changes anything on the server, and leaves the terminal as it was.

mod view;

use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;
use std::time::Duration;

use reqwest::Method;

use self::view::View;
use super::server::{Ask, Client, Error, Server};
use super::{or_closed, paint};
use crate::http::status::Status;
use sheaf_ground::time::Clock;

/// Where a server listens that was told nothing.
const BY_DEFAULT: &str = "http://127.0.0.1:1234";
/// Between two looks.
const INTERVAL: Duration = Duration::from_secs(1);

const EXAMPLES: &str = "\
Without --server and SHEAF_SERVER it asks http://127.0.0.1:1234. Where users are configured it needs
the token of an admin of all vaults (`vaults = \"*\"`), and where there is an admin listener, its
address. --ready needs no token.

Examples:
  sheaf status
  sheaf status --server https://notes.example.org --token-file ~/.sheaf-token --once
  sheaf status --json | jq .journal
  sheaf status --ready && echo 'writes are made durable'

Ends with 1 if the server does not answer or cannot make writes durable.";

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Arguments {
    #[command(flatten)]
    server: Server,
    /// One look instead of a live view; without a terminal it is always one
    #[arg(long)]
    once: bool,
    /// One look, as one JSON object
    #[arg(long, conflicts_with = "once")]
    json: bool,
    /// Only ask whether the server is ready, as a health check does
    #[arg(long, conflicts_with_all = ["once", "json"])]
    ready: bool,
}

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let address = arguments.server.given().unwrap_or_else(|| BY_DEFAULT.to_owned());
    let client = arguments.server.connect(&address)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        if arguments.ready {
            return ready(&client).await;
        }
        let is_live = !arguments.once && !arguments.json && io::stdout().is_terminal();
        if is_live {
            watch(&client).await?;
            return Ok(ExitCode::SUCCESS);
        }
        let status = ask(&client).await?;
        let text = if arguments.json {
            serde_json::to_string(&status)? + "\n"
        } else {
            plain(client.name(), &status)
        };
        or_closed(anstream::stdout().write_all(text.as_bytes()))?;
        Ok(if status.ready { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    })
}

async fn ready(client: &Client) -> anyhow::Result<ExitCode> {
    client.ask(Method::GET, &["readyz"], Ask::default()).await?;
    or_closed(writeln!(io::stdout(), "ready"))?;
    Ok(ExitCode::SUCCESS)
}

async fn ask(client: &Client) -> Result<Status, Error> {
    let response = client.ask(Method::GET, &["v1", "status"], Ask::default()).await?;
    response.json().await.map_err(|error| client.unreachable(&error))
}

/// The same figures as the live view, without rates: those need two looks.
fn plain(server: &str, status: &Status) -> String {
    let mut text = format!("{server}: {}\n", view::verdict(status));
    for (label, value) in view::rows(status, None) {
        text += &format!("{} {value}\n", paint::faint(&format!("{label:<11}")));
    }
    text
}

async fn watch(client: &Client) -> anyhow::Result<()> {
    let clock = Clock::system();
    // The first look decides whether there is anything to show.
    let first = ask(client).await?;
    let mut view = View::new(client.name(), first);
    let mut terminal = ratatui::try_init()?;
    let done = async {
        loop {
            terminal.draw(|frame| view.draw(frame))?;
            let next = clock.now() + INTERVAL;
            while next.since(clock.now()) > Duration::ZERO {
                if view::is_quit()? {
                    return Ok(());
                }
                clock.sleep(view::KEY_INTERVAL).await;
            }
            match ask(client).await {
                Ok(status) => view.show(status),
                // A restart is worth waiting for; a refusal is not.
                Err(error @ Error::Unreachable { .. }) => view.lose(&error),
                Err(error) => return Err(error.into()),
            }
        }
    }
    .await;
    ratatui::restore();
    done
}
