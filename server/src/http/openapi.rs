//! `/openapi.json`: the interface described, made from the types that the handlers read and write.
//!
//! For generators of clients and for the fuzzer in `tests/schema`. Never describes what the table
//! of routes does not have: a test compares the two.

use std::sync::LazyLock;

use hyper::http::{Method, header};
use serde_json::Value;
use utoipa::openapi::path::{Operation, Parameter};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{ContentBuilder, Deprecated, Ref, RefOr, Required, ResponseBuilder, Schema};
use utoipa::{Modify, OpenApi};
use warp::Reply;
use warp::reply::with_header;

use super::ask::Ask;
use super::error::Error;
use super::route::Route;
use super::{
    State, blobs, changes, devices, feeds, files, health, pushing, sessions, status, tree, update,
    vaults, versions, writing, ysweet,
};

/// What every operation may answer, whatever it does.
const ALWAYS: [(&str, &str); 6] = [
    ("400", "The request cannot be understood"),
    ("401", "A valid token is needed"),
    ("403", "The token does not allow this; the answer is the same whether it exists or not"),
    ("429", "Too many requests; Retry-After says when to come back"),
    ("500", "The server failed inside, or what it keeps is damaged"),
    ("503", "The server cannot do this now; Retry-After says when to come back"),
];

/// The whole interface.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "Sheaf",
        description = "Vaults of live documents: read them, edit them, follow what changes.",
        license(name = "MIT", identifier = "MIT"),
    ),
    paths(
        vaults::list, vaults::info, vaults::create, vaults::delete,
        files::list, files::read, files::head,
        writing::put, writing::patch, tree::relocate, tree::delete,
        versions::activity,
        update::read, update::submit, update::present,
        blobs::want, blobs::reading::read, blobs::reading::head, blobs::upload::put,
        blobs::assemble,
        changes::changes, pushing::push, feeds::feeds,
        devices::list, devices::change, devices::forget, devices::acknowledge,
        sessions::all, sessions::of_vault, sessions::close, sessions::ticket,
        status::show, health::time,
        ysweet::check_store, ysweet::make, ysweet::admit, ysweet::read, ysweet::submit,
    ),
    components(schemas(super::error::Problem)),
    modifiers(&Before, &Common),
    security((), ("token" = [])),
)]
struct Interface;

/// Adds what older SDKs of Y-Sweet still ask, which is answered by what newer ones ask.
struct Before;

impl Modify for Before {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let paths = &mut document.paths.paths;
        for (new, old) in [
            ("/d/{doc}/as-update", "/doc/{doc}/as-update"),
            ("/d/{doc}/update", "/doc/{doc}/update"),
        ] {
            let mut item = paths[new].clone();
            [&mut item.get, &mut item.post].into_iter().flatten().for_each(|it| outdate(it, new));
            paths.insert(old.to_owned(), item);
        }
        let store = paths.entry("/check_store".to_owned()).or_default();
        store.get = store.post.clone();
        store.get.iter_mut().for_each(|operation| outdate(operation, "POST"));
    }
}

fn outdate(operation: &mut Operation, new: &str) {
    operation.deprecated = Some(Deprecated::True);
    operation.summary = Some(format!("As `{new}`, for older SDKs."));
    operation.operation_id = operation.operation_id.take().map(|id| id + "Before");
}

/// Adds what is the same everywhere.
struct Common;

impl Modify for Common {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build();
        if let Some(components) = document.components.as_mut() {
            components.add_security_scheme("token", SecurityScheme::Http(bearer));
        }
        for item in document.paths.paths.values_mut() {
            let operations =
                [&mut item.get, &mut item.put, &mut item.post, &mut item.patch, &mut item.delete];
            operations.into_iter().flatten().for_each(|operation| complete(operation, true));
            item.head.iter_mut().for_each(|operation| complete(operation, false));
        }
    }
}

/// What parameters look like, by name: a pattern that good values follow (a vault's name may begin
/// with a dot as well, which no pattern without look-ahead can say beside `.` and `..`), and an
/// example.
const PARAMETERS: [(&str, Option<&str>, &str); 9] = [
    ("vault", Some(r"^[A-Za-z0-9_-][A-Za-z0-9._-]{0,63}$"), "notes"),
    ("path", None, "a.md"),
    (
        "hash",
        Some("^[0-9a-f]{64}$"),
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    ),
    ("doc", Some(r"^[A-Za-z0-9_-]{1,1024}$"), "plan"),
    ("device", Some("^[0-9a-f]{16}$"), "b57a77385cbd4067"),
    ("Sheaf-Device", Some("^[0-9a-f]{16}$"), "b57a77385cbd4067"),
    ("If-Match", None, "*"),
    ("If-None-Match", None, "\"another-1\""),
    ("Last-Event-ID", None, "0"),
];

fn show(parameter: &mut RefOr<Parameter>) {
    let RefOr::T(parameter) = parameter else { return };
    let shown = PARAMETERS.iter().find(|(name, ..)| *name == parameter.name);
    let (Some((_, pattern, example)), Some(RefOr::T(Schema::Object(schema)))) =
        (shown, parameter.schema.as_mut())
    else {
        return;
    };
    schema.example = Some(Value::from(*example));
    schema.pattern = pattern.map(str::to_owned);
}

fn complete(operation: &mut Operation, has_body: bool) {
    operation.parameters.iter_mut().flatten().for_each(show);
    // An empty text is a text; many clients cannot say it otherwise than by no body.
    if let Some(RefOr::T(body)) = operation.request_body.as_mut()
        && body.content.contains_key("text/plain")
    {
        body.required = Some(Required::False);
    }
    for (status, meaning) in ALWAYS {
        let mut response = ResponseBuilder::new().description(meaning);
        if has_body {
            let schema = Ref::from_schema_name("Problem");
            let content = ContentBuilder::new().schema(Some(schema)).build();
            response = response.content("application/json", content);
        }
        operation.responses.responses.insert(status.to_owned(), response.build().into());
    }
}

static TEXT: LazyLock<String> =
    LazyLock::new(|| Interface::openapi().to_json().expect("the description is plain data"));

/// The route of this file.
pub fn routes() -> Vec<Route> {
    vec![Route::at("/openapi.json", "openapi").on(Method::GET, describe)]
}

async fn describe(_state: State, _ask: Ask) -> Result<impl Reply, Error> {
    Ok(with_header(TEXT.as_str(), header::CONTENT_TYPE, "application/json"))
}

#[cfg(test)]
mod tests;
