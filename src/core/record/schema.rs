//! The JSON Schema (draft 2020-12) of records, made from the field table.

use super::SCHEMA;
use super::fields::Record;
use super::kinds::{ALWAYS, KINDS, KindRule};
use super::shape::properties;
use serde_json::{Map, Value, json};

/// The schema that `deploy-record schema record` prints.
pub fn json_schema() -> Value {
    let fields = Record::fields();
    let required: Vec<_> = fields.iter().filter(|field| field.required).map(|field| field.name).collect();
    let mut properties = properties(fields);
    properties["schema"]["const"] = json!(SCHEMA);
    properties["seq"]["minimum"] = json!(1);
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "deploy-record record, version 1",
        "description": "One record of a release log. Its exact bytes are signed; fields that are not listed here come from a newer version.",
        "type": "object",
        "required": required,
        "properties": properties,
        "allOf": KINDS.iter().map(kind_schema).collect::<Vec<_>>(),
    })
}

fn kind_schema(rule: &KindRule) -> Value {
    let known = |name: &str| [ALWAYS, rule.required, rule.allowed].iter().any(|names| names.contains(&name));
    let forbidden: Map<String, Value> = Record::fields()
        .iter()
        .filter(|field| !known(field.name))
        .map(|field| (field.name.to_owned(), Value::Bool(false)))
        .collect();
    json!({
        "if": { "properties": { "kind": { "const": rule.kind.as_str() } }, "required": ["kind"] },
        "then": { "required": rule.required, "properties": forbidden },
    })
}
