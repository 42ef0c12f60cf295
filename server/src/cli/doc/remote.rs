//! Documents of a running server, by its HTTP interface.
//!
//! Used by `documents`. Never builds a path by hand: the parts of a name are escaped one by one.

use reqwest::Method;
use reqwest::header::{CONTENT_LENGTH, HeaderMap, HeaderValue, IF_MATCH, IF_NONE_MATCH};
use serde::Deserialize;
use sheaf_protocol::ids::VaultName;

use super::super::server::{Ask, Body, Client, Error};
use super::documents::{Condition, Entry, Failure, Read, Written};

/// One vault of a running server.
pub(super) struct Remote {
    client: Client,
    vault: VaultName,
}

#[derive(Deserialize)]
struct Page {
    files: Vec<Entry>,
    next: Option<String>,
}

#[derive(Deserialize)]
struct Answer {
    created: bool,
    changed: bool,
    etag: String,
}

impl From<Error> for Failure {
    fn from(error: Error) -> Failure {
        match &error {
            Error::Refused { status: 412, .. } => Failure::Condition(error.to_string()),
            _ if error.is_final() => Failure::Final(error.into()),
            _ => Failure::Refused(error.to_string()),
        }
    }
}

impl Remote {
    pub(super) fn new(client: Client, vault: VaultName) -> Remote {
        Remote { client, vault }
    }

    async fn ask(&self, method: Method, path: &str, ask: Ask) -> Result<reqwest::Response, Error> {
        let ask = Ask { is_patient: true, ..ask };
        let mut parts = vec!["v1", "vaults", self.vault.as_str(), "files"];
        let is_dot = |part: &str| part == "." || part == "..";
        match path {
            "" => {}
            // Such parts would be taken for steps in the address: sent as one, slashes escaped.
            path if path.split('/').any(is_dot) => parts.push(path),
            path => parts.extend(path.split('/')),
        }
        self.client.ask(method, &parts, ask).await
    }

    pub(super) async fn list(&self, prefix: &str) -> Result<Vec<Entry>, Failure> {
        let mut entries = Vec::new();
        let mut after = None;
        loop {
            // As many on a page as the server thinks right: how many it gives at most is its own.
            let mut query = Vec::new();
            if !prefix.is_empty() {
                query.push(("prefix", prefix.to_owned()));
            }
            query.extend(after.take().map(|after| ("after", after)));
            let response = self.ask(Method::GET, "", Ask { query, ..Ask::default() }).await?;
            let page: Page = response.json().await.map_err(|error| self.unreadable(&error))?;
            entries.extend(page.files);
            match page.next {
                Some(next) => after = Some(next),
                None => return Ok(entries),
            }
        }
    }

    pub(super) async fn read(&self, path: &str) -> Result<Read, Failure> {
        match self.ask(Method::GET, path, Ask::default()).await {
            Ok(response) => {
                let text = response.text().await.map_err(|error| self.unreadable(&error))?;
                Ok(Read::Text(text))
            }
            Err(Error::Refused { code, message, details, .. }) if code == "not_text" => {
                let root = details.get("root").and_then(serde_json::Value::as_str);
                Ok(Read::Other(root.map_or(message, str::to_owned)))
            }
            Err(error) => Err(error.into()),
        }
    }

    pub(super) async fn write(
        &self,
        path: &str,
        text: String,
        condition: &Condition,
    ) -> Result<Written, Failure> {
        let mut headers = HeaderMap::new();
        match condition {
            Condition::None => {}
            Condition::New => drop(headers.insert(IF_NONE_MATCH, HeaderValue::from_static("*"))),
            Condition::State(etag) => {
                let value = HeaderValue::try_from(format!("\"{etag}\""));
                let value =
                    value.map_err(|_| Failure::Condition(format!("{etag:?} is no state")))?;
                headers.insert(IF_MATCH, value);
            }
        }
        if text.is_empty() {
            // Without it the client sends no length, and a PUT that announces no body is refused.
            headers.insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
        }
        let ask = Ask { headers, body: Some(Body::Text(text)), ..Ask::default() };
        let response = self.ask(Method::PUT, path, ask).await?;
        let answer: Answer = response.json().await.map_err(|error| self.unreadable(&error))?;
        let etag = answer.etag;
        Ok(Written { is_new: answer.created, has_changed: answer.changed, etag })
    }

    pub(super) async fn remove(&self, path: &str) -> Result<(), Failure> {
        self.ask(Method::DELETE, path, Ask::default()).await?;
        Ok(())
    }

    fn unreadable(&self, error: &reqwest::Error) -> Failure {
        Failure::Final(self.client.unreachable(error).into())
    }
}
