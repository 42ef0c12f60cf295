//! `POST /v1/vaults/{vault}/changes`: many operations on files in one request.
//!
//! For clients that were away, and for jobs. They are the operations of the vault channel, and are
//! answered in its words. Never does one at a path where the caller may not write.

use futures::FutureExt;
use futures::future::BoxFuture;
use serde_json::Value;
use sheaf_protocol::control::{PushResult, read_push};
use sheaf_protocol::error::Refusal;
use sheaf_protocol::ids::VaultName;
use warp::reply::Response;

use super::State;
use super::ask::Ask;
use super::error::{Error, Problem};
use super::writing::author;
use crate::auth::{Caller, Role};
use crate::vault::audience::From;
use crate::vault::operation::{Operator, Permit, Refused};
use sheaf_ground::task;

/// Where the one who asks may write.
struct Reach<'a>(&'a Caller, &'a VaultName);

impl Permit for Reach<'_> {
    fn may_write<'a>(&'a self, path: &'a str) -> BoxFuture<'a, Result<bool, Refusal>> {
        self.0.may_write(self.1, path).boxed()
    }
}

/// Carries out many operations on files: uploads, deletions and moves, with what came of each.
///
/// The answer is 200 also where some were refused: `failures` says which, and why. `mode` says how
/// they depend on each other; `atomic` is all of them as one change, or none.
#[utoipa::path(
    post,
    path = "/v1/vaults/{vault}/changes",
    tag = "changes",
    operation_id = "pushChanges",
    params(
        ("vault" = String, Path, description = "The vault's name"),
        ("Sheaf-Device" = Option<String>, Header,
            description = "The device they come from, 16 hex digits"),
    ),
    request_body = sheaf_protocol::control::Push,
    responses(
        (status = 200, description = "What came of each; what succeeded is durable",
            body = PushResult),
        (status = 404, description = "There is no such vault", body = Problem),
        (status = 408, description = "The body did not come in time", body = Problem),
        (status = 409, description = "The device is another user's, or there are too many",
            body = Problem),
        (status = 413, description = "A body over the bound of a message, or more operations than \
            a push may have", body = Problem),
        (status = 415, description = "It is not plain JSON", body = Problem),
        (status = 507, description = "A quota of the vault is used up", body = Problem),
    )
)]
pub(super) async fn push(state: State, ask: Ask) -> Result<Response, Error> {
    let vault = ask.vault()?;
    ask.caller.grant(&vault, None, Role::Read).await?;
    ask.query(&[])?;
    ask.check_charset()?;
    let body = ask.bytes(&state, state.limits.frame_bytes as usize).await?;
    let asked = task::block(|| read_push(&body)).map_err(Refused::from)?;
    drop(body);
    // The body may have outlived the grant.
    let grant = ask.caller.grant(&vault, None, Role::Read).await?;
    state.vaults.get_or_create(&vault, &grant.principal, grant.can_write()).await?;
    let operator = Operator {
        vaults: &state.vaults,
        vault: &vault,
        by: author(&ask, &grant)?,
        from: From::Elsewhere,
        text_bytes_max: state.limits.document_bytes,
        permit: &Reach(&ask.caller, &vault),
    };
    let result = operator.push(asked).await?;
    Ok(task::block(|| super::unstored(&result)))
}

impl std::convert::From<Refused> for Error {
    fn from(refused: Refused) -> Error {
        let (code, message, details) = refused.into_parts();
        Error::new(code, message, Value::Object(details))
    }
}
