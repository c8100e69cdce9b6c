//! Answers of the programming interface held against docs/openapi.json.

use std::collections::BTreeMap;

use serde_json::Value;

/// `GET /api/v1/…` and its description.
pub fn operations(document: &Value) -> BTreeMap<String, &Value> {
    let paths = document["paths"].as_object().expect("paths");
    let methods = paths.iter().flat_map(|(path, item)| {
        let operations = item.as_object().expect("an object").iter();
        operations.map(move |(method, operation)| (format!("{} {path}", method.to_uppercase()), operation))
    });
    methods.collect()
}

pub fn resolved<'a>(document: &'a Value, value: &'a Value) -> &'a Value {
    match value["$ref"].as_str().and_then(|to| to.strip_prefix('#')) {
        Some(pointer) => document.pointer(pointer).unwrap_or(&Value::Null),
        None => value,
    }
}

/// What an answer has that its description does not, and the other way round. Each fault says where.
pub fn differences(document: &Value, row: &str, status: u16, answer: &Value) -> Vec<String> {
    differences_of(document, row, status, "application/json", answer)
}

/// The same of one line of an answer that comes in lines, or of another media type.
pub fn differences_of(document: &Value, row: &str, status: u16, media: &str, answer: &Value) -> Vec<String> {
    let operations = operations(document);
    let Some(operation) = operations.get(row) else { return vec![format!("{row} is not described")] };
    let responses = &operation["responses"];
    let response = match &responses[status.to_string()] {
        Value::Null if status >= 400 => &responses["default"],
        response => response,
    };
    let content = &resolved(document, response)["content"];
    let described = content.as_object();
    let media = described.and_then(|described| described.get(media).or_else(|| described.values().next()));
    let mut faults = Vec::new();
    match media {
        Some(media) => compare(document, &media["schema"], answer, "", &mut faults),
        None if answer.is_null() => {}
        None => faults.push(format!("status {status} has no described content")),
    }
    faults
}

fn compare(document: &Value, schema: &Value, found: &Value, at: &str, faults: &mut Vec<String>) {
    let schema = resolved(document, schema);
    let kind = match found {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    let kinds: Vec<&str> = match &schema["type"] {
        Value::Array(kinds) => kinds.iter().filter_map(Value::as_str).collect(),
        kind => kind.as_str().into_iter().collect(),
    };
    if !kinds.is_empty() && !kinds.contains(&kind) {
        faults.push(format!("{at}: {found} (expected {})", kinds.join(" or ")));
        return;
    }
    if let Some(values) = schema["enum"].as_array()
        && !values.contains(found)
    {
        faults.push(format!("{at}: {found} (expected one of {values:?})"));
    }
    if schema["format"] == "date-time" && !found.is_null() {
        let is_time = found.as_str().is_some_and(|text| chrono::DateTime::parse_from_rfc3339(text).is_ok());
        (!is_time).then(|| faults.push(format!("{at}: {found} (expected a time)")));
    }
    for item in found.as_array().into_iter().flatten() {
        compare(document, &schema["items"], item, &format!("{at}[]"), faults);
    }
    let Some(fields) = found.as_object() else { return };
    for required in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        (!fields.contains_key(required)).then(|| faults.push(format!("{at}.{required} is missing")));
    }
    for (name, value) in fields {
        match schema["properties"].get(name) {
            Some(schema) => compare(document, schema, value, &format!("{at}.{name}"), faults),
            None if schema["additionalProperties"] == false => faults.push(format!("{at}.{name} is not described")),
            None => {}
        }
    }
}
