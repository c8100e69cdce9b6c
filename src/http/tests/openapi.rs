//! docs/openapi.json against the table of routes, and against what a running server really answers.

use std::collections::BTreeSet;

use serde_json::Value;

#[path = "../../../tests/support/openapi.rs"]
mod shared;

use shared::{operations, resolved};

use crate::http::api::{ApiRoute, DOCUMENT, ROUTES, Shape, shown};

pub fn document() -> Value {
    serde_json::from_str(DOCUMENT).expect("docs/openapi.json is JSON")
}

pub fn differences(row: &str, status: u16, answer: &Value) -> Vec<String> {
    shared::differences(&document(), row, status, answer)
}

fn name(row: &ApiRoute) -> String {
    format!("{} {}", row.method, shown(row.path))
}

#[test]
fn every_route_is_described_and_nothing_else_is() {
    let document = document();
    let described: BTreeSet<String> = operations(&document).into_keys().collect();
    let routed: BTreeSet<String> = ROUTES.iter().map(name).collect();
    let missing: Vec<_> = routed.difference(&described).collect();
    let invented: Vec<_> = described.difference(&routed).collect();
    assert!(missing.is_empty(), "docs/openapi.json does not describe {missing:#?}");
    assert!(invented.is_empty(), "docs/openapi.json describes what there is not: {invented:#?}");
}

#[test]
fn parameters_are_those_of_the_table() {
    let document = document();
    let operations = operations(&document);
    for row in ROUTES {
        let at = name(row);
        let Some(operation) = operations.get(&at) else { continue };
        let described: BTreeSet<(String, String, String)> = operation["parameters"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|parameter| {
                let parameter = resolved(&document, parameter);
                let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
                assert!(!text(&parameter["description"]).is_empty(), "{at}: {parameter}");
                (text(&parameter["in"]), text(&parameter["name"]), text(&parameter["schema"]["type"]))
            })
            .collect();
        let names = shown(row.path);
        let names = names.split('{').skip(1).filter_map(|rest| rest.split('}').next());
        let names = names.map(|name| ("path".to_owned(), name.to_owned(), "string".to_owned()));
        let query = row.query.iter().map(|parameter| {
            let shape = match parameter.shape {
                Shape::Text => "string",
                Shape::Number => "integer",
                Shape::Flag => "boolean",
            };
            ("query".to_owned(), parameter.name.to_owned(), shape.to_owned())
        });
        assert_eq!(described, names.chain(query).collect(), "{at}");
    }
}

#[test]
fn every_description_says_who_may_ask_what_is_sent_and_what_comes() {
    let document = document();
    let operations = operations(&document);
    let mut ids = BTreeSet::new();
    for row in ROUTES {
        let at = name(row);
        let Some(operation) = operations.get(&at) else { continue };
        assert!(operation["summary"].as_str().is_some_and(|text| text.len() > 10), "{at}: no summary");
        let id = operation["operationId"].as_str().unwrap_or_default();
        assert!(!id.is_empty() && ids.insert(id.to_owned()), "{at}: operationId {id:?}");
        let admin = operation["security"].as_array().is_some_and(|list| !list.is_empty());
        assert_eq!(admin, row.access.is_admin(), "{at}: who may ask");
        let responses = operation["responses"].as_object().unwrap_or_else(|| panic!("{at}: no responses"));
        assert!(responses.keys().any(|status| status.starts_with('2')), "{at}: no answer");
        let refusal = resolved(&document, &responses["default"]);
        assert_eq!(refusal["content"]["application/json"]["schema"]["$ref"], "#/components/schemas/Error", "{at}");
        let takes_body = !operation["requestBody"].is_null();
        assert!(!takes_body || row.method != hyper::Method::GET, "{at}: a body for GET");
    }
}

#[test]
fn every_reference_leads_somewhere_and_every_object_says_all_its_fields() {
    fn walk(document: &Value, value: &Value, at: &str, unsaid: &mut Vec<String>) {
        match value {
            Value::Object(fields) => {
                if let Some(Value::String(to)) = fields.get("$ref") {
                    let found = to.strip_prefix('#').and_then(|pointer| document.pointer(pointer));
                    assert!(found.is_some(), "{at}: {to} leads nowhere");
                }
                if fields.get("type") == Some(&Value::from("object")) && !fields.contains_key("additionalProperties") {
                    unsaid.push(at.to_owned());
                }
                for required in fields.get("required").and_then(Value::as_array).into_iter().flatten() {
                    let name = required.as_str().expect("a name");
                    assert!(fields["properties"].get(name).is_some(), "{at}: {name} is required and not described");
                }
                fields.iter().for_each(|(key, value)| walk(document, value, &format!("{at}/{key}"), unsaid));
            }
            Value::Array(items) => items.iter().for_each(|item| walk(document, item, at, unsaid)),
            _ => {}
        }
    }
    let document = document();
    let mut unsaid = Vec::new();
    walk(&document, &document, "", &mut unsaid);
    assert!(unsaid.is_empty(), "objects that do not say whether there are further fields: {unsaid:#?}");
}

#[test]
fn a_difference_is_found() {
    let error = |json: Value| differences("GET /api/v1/openapi.json", 404, &json);
    assert!(error(serde_json::json!({ "error": "x", "kind": "gone", "remedy": ["y"] })).is_empty());
    let wrong = serde_json::json!({ "error": 1, "kind": "odd", "more": true });
    assert_eq!(error(wrong).len(), 4, "a type, a word, a field too many, one too few");
}
