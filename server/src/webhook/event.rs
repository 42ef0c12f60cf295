//! What a delivery says: its id, which stays over retries, and its body.
//!
//! Called when a change or a session's event is about to be told. Never puts content into a body,
//! nor an address of a person: a receiver that wants the text asks for it with its own token.

use bytes::Bytes;
use serde::Serialize;
use sheaf_protocol::ids::{Principal, VaultName};
use sheaf_protocol::stamp::Stamp;

use super::config::EventType;
use crate::auth::{Session, SessionEvent};
use crate::vault::{Change, Cursor, Kind};

/// What goes out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Event {
    /// The same at every try, so that a receiver can tell a repetition. Without a dot.
    pub id: String,
    /// JSON.
    pub body: Bytes,
}

#[derive(Serialize)]
struct Body<'a> {
    id: &'a str,
    r#type: &'static str,
    vault: &'a VaultName,
    #[serde(skip_serializing_if = "Option::is_none")]
    cursor: Option<String>,
    time: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    document: Option<Document<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    session: Option<Stay<'a>>,
}

#[derive(Serialize)]
struct Document<'a> {
    id: String,
    path: &'a str,
    n: u64,
    etag: String,
    kind: &'static str,
    size: u64,
    hash: Option<String>,
    by: Option<&'a str>,
}

#[derive(Serialize)]
struct Stay<'a> {
    id: u64,
    document: &'a str,
    user: Option<&'a str>,
    role: &'static str,
    dialect: &'static str,
    since: String,
}

/// A change of a document, as one of the three types.
pub(super) fn of_document(
    vault: &VaultName,
    epoch: u64,
    change: &Change,
    event: EventType,
) -> Event {
    let file = &change.file;
    let cursor = Cursor::at(epoch, change.seq).to_string();
    // Everything that tells two events apart, and nothing that a retry could find changed.
    let name = format!("{vault}\0{cursor}\0{}\0{}", file.id, event.name());
    let id = format!("msg_{}", hex(&blake3::hash(name.as_bytes()).as_bytes()[..16]));
    let document = Document {
        id: file.id.to_string(),
        path: &file.path,
        n: file.n,
        etag: format!("\"{}\"", file.at()),
        kind: match file.kind {
            Kind::Text => "text",
            Kind::Other => "other",
            Kind::Empty => "empty",
            Kind::Blob => "blob",
        },
        size: file.size,
        hash: file.hash.as_ref().map(|hash| hex(hash)),
        by: file.by.as_deref(),
    };
    let body = Body {
        id: &id,
        r#type: event.name(),
        vault,
        cursor: Some(cursor),
        time: rfc3339(file.updated.ms()),
        document: Some(document),
        session: None,
    };
    let body = write(&body);
    Event { id, body }
}

/// An event of a session; `stamp` is its own, and its time.
pub(super) fn of_session(stamp: Stamp, event: &SessionEvent) -> Event {
    let id = id_of_session(stamp);
    let session = session_of(event);
    let stay = Stay {
        id: session.id,
        document: &session.document,
        user: match &session.principal {
            Principal::Named(name) => Some(name),
            Principal::Anonymous => None,
        },
        role: session.role.name(),
        dialect: session.dialect,
        since: rfc3339(session.since_ms),
    };
    let body = Body {
        id: &id,
        r#type: type_of_session(event).name(),
        vault: &session.vault,
        cursor: None,
        time: rfc3339(stamp.ms()),
        document: None,
        session: Some(stay),
    };
    let body = write(&body);
    Event { id, body }
}

/// The id of a session's event.
pub(super) fn id_of_session(stamp: Stamp) -> String {
    format!("msg_{stamp}")
}

/// The type of a session's event.
pub(super) fn type_of_session(event: &SessionEvent) -> EventType {
    match event {
        SessionEvent::Joined(_) => EventType::Joined,
        SessionEvent::Left(_) => EventType::Left,
    }
}

/// The session that an event is about.
pub(super) fn session_of(event: &SessionEvent) -> &Session {
    match event {
        SessionEvent::Joined(session) | SessionEvent::Left(session) => session,
    }
}

fn write(body: &Body<'_>) -> Bytes {
    serde_json::to_vec(body).expect("names and numbers are always JSON").into()
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").expect("writing to a String cannot fail");
        text
    })
}

/// A time in RFC 3339, UTC, with milliseconds. The calendar's arithmetic is Howard Hinnant's
/// `civil_from_days`, <https://howardhinnant.github.io/date_algorithms.html>.
fn rfc3339(ms: u64) -> String {
    let (day, ms_of_day) = (ms / 86_400_000, ms % 86_400_000);
    // Days since 0000-03-01, in eras of 400 years.
    let day = day + 719_468;
    let (era, day_of_era) = (day / 146_097, day % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day_of_month = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    let (second, milli) = (ms_of_day / 1000, ms_of_day % 1000);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day_of_month:02}T{hour:02}:{minute:02}:{second:02}.{milli:03}Z")
}

#[cfg(test)]
mod tests;
