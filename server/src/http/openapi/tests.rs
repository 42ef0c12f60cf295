//! The description says what the table of routes has, no more and no less.

use std::collections::BTreeSet;

use super::*;
use crate::http::table;

/// For operators, not for clients.
const UNDESCRIBED: [&str; 5] = ["/healthz", "/readyz", "/ready", "/metrics", "/openapi.json"];

fn described() -> BTreeSet<String> {
    let document: Value = serde_json::from_str(&TEXT).expect("JSON");
    let mut found = BTreeSet::new();
    for (path, item) in document["paths"].as_object().expect("paths") {
        for method in item.as_object().expect("operations").keys() {
            found.insert(format!("{} {path}", method.to_uppercase()));
        }
    }
    found
}

fn served() -> BTreeSet<String> {
    let routes = table();
    let routes = routes.iter().filter(|route| !UNDESCRIBED.contains(&route.pattern));
    // HEAD comes with every GET; it is described where it is of use.
    let is_shown = |route: &Route, method: &Method| {
        let is_described = ["/files/{path}", "/blobs/{hash}"];
        *method != Method::HEAD || is_described.iter().any(|it| route.pattern.ends_with(it))
    };
    routes
        .flat_map(|route| {
            let methods = route.methods().filter(|method| is_shown(route, method));
            methods.map(|method| format!("{method} {}", route.pattern)).collect::<Vec<_>>()
        })
        .collect()
}

#[test]
fn every_route_and_method_is_described_and_nothing_else() {
    assert_eq!(described(), served());
}

#[test]
fn every_operation_has_an_id_of_its_own_and_a_summary() {
    let document: Value = serde_json::from_str(&TEXT).expect("JSON");
    let mut ids = BTreeSet::new();
    for (path, item) in document["paths"].as_object().expect("paths") {
        for (method, operation) in item.as_object().expect("operations") {
            let id = operation["operationId"].as_str().expect("an id");
            assert!(ids.insert(id.to_owned()), "{id} twice");
            assert!(operation["summary"].is_string(), "{method} {path}");
        }
    }
}

#[test]
fn every_reference_leads_to_a_schema() {
    let document: Value = serde_json::from_str(&TEXT).expect("JSON");
    let text = document.to_string();
    for (at, _) in text.match_indices("\"$ref\":\"#/components/schemas/") {
        let rest = &text[at + "\"$ref\":\"#/components/schemas/".len()..];
        let name = rest.split('"').next().expect("a name");
        assert!(document["components"]["schemas"][name].is_object(), "{name}");
    }
}
