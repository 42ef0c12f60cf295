//! The HTTP interface against a running server: what it does, who may do it, what it says to
//! nonsense, and that its documentation is true.

mod access_matrix;
mod bad_input;
mod blobs;
mod bounds;
mod conflict;
mod coverage;
mod examples;
mod feed;
mod files;
mod folders;
mod live;
mod pushing;
mod ysweet;

use std::net::SocketAddr;
use std::time::Duration;

use serde_json::Value;
use sheaf_server::auth::reach::Vaults;
use sheaf_server::auth::role::Role;
use sheaf_server::auth::token::Token;
use sheaf_server::auth::users::UserConfig;
use sheaf_server::config::Config;
use sheaf_tests::http::{Answer, Request};
use sheaf_tests::server::Server;

/// For what is local and should be immediate.
const SOON: Duration = Duration::from_secs(20);

/// Who may do everything.
const ROOT: &str = "the-token-of-root-0123456789";

/// A user of some vaults.
fn user(name: &str, token: &str, vaults: Vaults, role: Role) -> UserConfig {
    UserConfig {
        name: name.into(),
        token: Token::new(token).into(),
        vaults: Some(vaults),
        role: Some(role),
        ..UserConfig::default()
    }
}

fn these(names: &[&str]) -> Vaults {
    let name = |name: &&str| name.parse().expect("a vault's name");
    Vaults::These(names.iter().map(name).collect())
}

/// With one admin of everything.
fn with_root(config: &mut Config) {
    config.users.push(user("root", ROOT, Vaults::All, Role::Admin));
}

/// A client of a server that is open on loopback, in one vault.
struct Client {
    address: SocketAddr,
    vault: &'static str,
}

impl Client {
    fn new(server: &Server) -> Client {
        Client { address: server.address(), vault: "notes" }
    }

    fn file(&self, method: &str, path: &str) -> Request {
        Request::new(method, &format!("/v1/vaults/{}/files/{path}", self.vault))
    }

    async fn send(&self, request: Request) -> Answer {
        request.send(self.address).await
    }

    async fn get(&self, path: &str) -> Answer {
        self.send(self.file("GET", path)).await
    }

    async fn put(&self, path: &str, text: &str) -> Answer {
        self.send(self.file("PUT", path).body(text)).await
    }

    /// Writes a text that must be taken, and gives its tag.
    async fn written(&self, path: &str, text: &str) -> String {
        let answer = self.put(path, text).await;
        assert!([200, 201].contains(&answer.status), "{} {}", answer.status, answer.text());
        answer.header("etag").to_owned()
    }

    async fn patch(&self, path: &str, tag: &str, body: &Value) -> Answer {
        self.send(self.file("PATCH", path).header("If-Match", tag).json(body)).await
    }

    /// A request for what is in the vault and no file.
    async fn ask(&self, method: &str, rest: &str) -> Answer {
        self.send(Request::new(method, &format!("/v1/vaults/{}{rest}", self.vault))).await
    }
}
