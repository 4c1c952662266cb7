//! GitLab's own description of its REST API (Swagger 2.0, GitLab's `doc/api/openapi/openapi_v2.yaml`), where it is at hand:
//! requests and answers are held against it.
//!
//! It is not part of this project. It is looked for in the folder that `GITLAB_OPENAPI` names, else in
//! `shared/facts/gitlab-openapi` beside the project's own folder. What it says is taken as it is, but for what it is known to be
//! wrong about: a project's number may be its path; most of its fields are called texts, whatever they are; a list of labels may
//! be written with commas; lists are described as their elements. What it leaves out is in [`absent`].

use super::call::{gathered, pairs, read_body};
use super::{ROOT, absent};
use crate::support::git_server::http::{Head, Response};
use chrono::{DateTime, NaiveDate};
use serde::Deserialize;
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// The part of it that matters here, or the whole.
const FILES: [&str; 2] = ["openapi_v2.subset.yaml", "openapi_v2.yaml"];

/// The description, as far as it is used.
#[derive(Deserialize)]
pub struct Description {
    paths: BTreeMap<String, BTreeMap<String, Operation>>,
    definitions: BTreeMap<String, Schema>,
}

#[derive(Deserialize)]
struct Operation {
    #[serde(default)]
    parameters: Vec<Parameter>,
    #[serde(default)]
    responses: BTreeMap<String, Answer>,
}

#[derive(Deserialize)]
struct Answer {
    schema: Option<Schema>,
}

#[derive(Deserialize)]
struct Parameter {
    #[serde(rename = "in")]
    place: String,
    name: String,
    #[serde(default)]
    required: bool,
    #[serde(rename = "schema")]
    body: Option<Schema>,
    #[serde(rename = "type")]
    kind: Option<String>,
    format: Option<String>,
    #[serde(rename = "enum", default)]
    words: Vec<Value>,
    items: Option<Box<Schema>>,
}

#[derive(Clone, Default, Deserialize)]
struct Schema {
    #[serde(rename = "$ref")]
    reference: Option<String>,
    #[serde(rename = "type")]
    kind: Option<String>,
    format: Option<String>,
    #[serde(rename = "enum", default)]
    words: Vec<Value>,
    items: Option<Box<Schema>>,
    #[serde(default)]
    properties: BTreeMap<String, Schema>,
    #[serde(default)]
    required: Vec<String>,
}

/// What is wrong, in words.
type Verdict = Result<(), String>;

/// The description, read once; `None` where it is not at hand.
pub fn at_hand() -> Option<&'static Description> {
    static READ: OnceLock<Option<Description>> = OnceLock::new();
    READ.get_or_init(|| Description::read(&folder())).as_ref()
}

/// Where the description is looked for.
pub fn folder() -> PathBuf {
    let named = std::env::var_os("GITLAB_OPENAPI").filter(|folder| !folder.is_empty());
    named.map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/facts/gitlab-openapi"), PathBuf::from)
}

impl Description {
    /// Reads it from a folder; `None` where it is not there.
    ///
    /// # Panics
    /// If the file is there and is not a description.
    pub fn read(folder: &Path) -> Option<Description> {
        let file = FILES.iter().map(|name| folder.join(name)).find(|file| file.is_file())?;
        let text = std::fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        Some(serde_yaml::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", file.display())))
    }

    /// Whether GitLab takes this request: its path below `/api/v4`, its parameters.
    pub fn check_request(&self, head: &Head, path: &str, body: &[u8]) -> Verdict {
        let query = gathered(&pairs(head.query().as_bytes()));
        let body = read_body(head, body).map_err(|_| "the body is no JSON object and no form".to_owned())?;
        if head.method == "GET" && !body.is_empty() {
            return Err("a GET with a body".to_owned());
        }
        let Some((operation, places)) = self.operation(&head.method, path) else {
            let (parameters, _) = absent::find(&head.method, path).ok_or("GitLab has no such path and method")?;
            let mut names = query.keys().chain(body.keys());
            return match names.find(|name| !is_among(name, parameters)) {
                Some(name) => Err(format!("GitLab knows no parameter `{name}` here")),
                None => Ok(()),
            };
        };
        for (name, value) in places {
            let described = operation.parameters.iter().find(|known| known.place == "path" && known.name == name);
            if let Some(parameter) = described.filter(|_| name != "id") {
                self.check(&parameter.schema(), &Value::String(value), &name, Written::AsText)?;
            }
        }
        for (name, value) in &query {
            let known = operation.parameters.iter().find(|known| known.place == "query" && known.name == *name);
            let known = known.ok_or_else(|| format!("GitLab knows no parameter `{name}` here"))?;
            self.check(&known.schema(), value, name, Written::AsText)?;
        }
        let missing = operation.parameters.iter().find(|known| {
            known.place == "query" && known.required && !query.contains_key(&known.name) && !body.contains_key(&known.name)
        });
        if let Some(parameter) = missing {
            return Err(format!("the parameter `{}` is missing", parameter.name));
        }
        self.check_body(head, operation, &body)
    }

    fn check_body(&self, head: &Head, operation: &Operation, body: &Map<String, Value>) -> Verdict {
        let described = operation.parameters.iter().find(|parameter| parameter.place == "body");
        let Some(schema) = described.and_then(|parameter| parameter.body.as_ref()) else {
            return match body.keys().next() {
                Some(name) => Err(format!("GitLab knows no parameter `{name}` here")),
                None => Ok(()),
            };
        };
        let schema = self.resolve(schema)?;
        if let Some(name) = schema.required.iter().find(|name| !body.contains_key(*name)) {
            return Err(format!("the parameter `{name}` is missing"));
        }
        let is_json = head.header("Content-Type").is_some_and(|kind| kind.starts_with("application/json"));
        for (name, value) in body {
            let known = schema.properties.get(name);
            let known = known.ok_or_else(|| format!("GitLab knows no parameter `{name}` here"))?;
            self.check(known, value, name, if is_json { Written::AsJson } else { Written::AsText })?;
        }
        Ok(())
    }

    /// Whether GitLab could have answered this: the fields of a 2xx answer in JSON, and their types.
    pub fn check_answer(&self, method: &str, path: &str, response: &Response) -> Verdict {
        let is_json = response.headers.iter().any(|(name, value)| name == "Content-Type" && value == "application/json");
        if !(200..300).contains(&response.status) || !is_json {
            return Ok(());
        }
        let answer: Value = serde_json::from_slice(&response.body).map_err(|error| format!("the answer: {error}"))?;
        let Some((operation, _)) = self.operation(method, path) else {
            let (_, fields) = absent::find(method, path).ok_or("GitLab has no such path and method")?;
            let mut objects = answer.as_array().map_or(std::slice::from_ref(&answer), Vec::as_slice).iter();
            let invented = objects.find_map(|object| object.as_object()?.keys().find(|name| !is_among(name, fields)));
            return invented.map_or(Ok(()), |name| Err(format!("GitLab answers no field `{name}` here")));
        };
        let exact = operation.responses.get(&response.status.to_string());
        let any = operation.responses.iter().find(|(status, _)| status.starts_with('2')).map(|(_, answer)| answer);
        match exact.or(any).and_then(|answer| answer.schema.as_ref()) {
            Some(schema) => self.check(schema, &answer, "answer", Written::AsJson),
            None => Ok(()),
        }
    }

    /// The operation, and the varying parts of its path.
    fn operation(&self, method: &str, path: &str) -> Option<(&Operation, Vec<(String, String)>)> {
        let method = method.to_lowercase();
        let matching = self.paths.iter().filter_map(|(template, operations)| {
            let places = places(template.strip_prefix(ROOT)?, path)?;
            Some((operations.get(&method)?, places))
        });
        matching.min_by_key(|(_, places)| places.len())
    }

    fn resolve<'a>(&'a self, schema: &'a Schema) -> Result<&'a Schema, String> {
        let Some(reference) = &schema.reference else { return Ok(schema) };
        let name = reference.rsplit('/').next().unwrap_or_default();
        self.definitions.get(name).ok_or_else(|| format!("the description lacks `{name}`"))
    }

    /// Holds a value against what is said of it; null stands for any that is not there.
    fn check(&self, schema: &Schema, value: &Value, at: &str, written: Written) -> Verdict {
        let schema = self.resolve(schema)?;
        if let (Value::Array(elements), true) = (value, schema.kind.as_deref() != Some("array")) {
            return elements.iter().try_for_each(|element| self.check(schema, element, at, written));
        }
        let bad = |wanted: &str| Err(format!("`{at}` is {value}, not {wanted}"));
        let text = match value {
            Value::Null => return Ok(()),
            Value::Object(fields) => return self.check_fields(schema, fields, at, written),
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        if !schema.words.is_empty() && !schema.words.iter().any(|word| word.as_str() == Some(&text)) {
            return bad("one of the words that GitLab knows");
        }
        let is_text = value.is_string();
        let may_be_text = written == Written::AsText;
        let fits = match (schema.kind.as_deref().unwrap_or_default(), schema.format.as_deref().unwrap_or_default()) {
            ("integer", _) => value.is_i64() || value.is_u64() || is_text && may_be_text && text.parse::<i64>().is_ok(),
            ("number", _) => value.is_number() || is_text && may_be_text && text.parse::<f64>().is_ok(),
            ("boolean", _) => value.is_boolean() || is_text && may_be_text && matches!(text.as_str(), "true" | "false"),
            ("array", _) => return self.check_list(schema, value, at, written),
            ("string", "date-time") => is_text && DateTime::parse_from_rfc3339(&text).is_ok(),
            ("string", "date") => is_text && NaiveDate::parse_from_str(&text, "%Y-%m-%d").is_ok(),
            _ => true,
        };
        if fits { Ok(()) } else { bad(schema.kind.as_deref().unwrap_or("that")) }
    }

    fn check_fields(&self, schema: &Schema, fields: &Map<String, Value>, at: &str, written: Written) -> Verdict {
        if matches!(schema.kind.as_deref(), Some("integer" | "number" | "boolean")) {
            return Err(format!("`{at}` is an object, not {}", schema.kind.as_deref().unwrap_or_default()));
        }
        for (name, value) in fields.iter().filter(|_| !schema.properties.is_empty()) {
            let known = schema.properties.get(name);
            let known = known.ok_or_else(|| format!("GitLab has no field `{name}` in `{at}`"))?;
            self.check(known, value, name, written)?;
        }
        Ok(())
    }

    fn check_list(&self, schema: &Schema, value: &Value, at: &str, written: Written) -> Verdict {
        let element = schema.items.as_deref().cloned().unwrap_or_default();
        match value {
            Value::Array(elements) => elements.iter().try_for_each(|value| self.check(&element, value, at, written)),
            Value::String(text) => {
                let mut parts = text.split(',').map(|part| Value::from(part.trim()));
                parts.try_for_each(|part| self.check(&element, &part, at, Written::AsText))
            }
            _ => Err(format!("`{at}` is {value}, not a list")),
        }
    }
}

/// How values are written: in a path, query or form all of them are texts.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Written {
    AsJson,
    AsText,
}

impl Parameter {
    fn schema(&self) -> Schema {
        Schema {
            kind: self.kind.clone(),
            format: self.format.clone(),
            words: self.words.clone(),
            items: self.items.clone(),
            ..Schema::default()
        }
    }
}

fn is_among(name: &str, names: &str) -> bool {
    names.split(' ').any(|known| known == name)
}

/// The varying parts of a path, decoded.
pub fn places(template: &str, path: &str) -> Option<Vec<(String, String)>> {
    let (names, parts): (Vec<_>, Vec<_>) = (template.split('/').collect(), path.split('/').collect());
    if names.len() != parts.len() {
        return None;
    }
    let varying = names.into_iter().zip(parts).filter(|(name, part)| name != part);
    varying
        .map(|(name, part)| {
            let name = name.strip_prefix('{')?.strip_suffix('}')?;
            (!part.is_empty()).then(|| (name.to_owned(), super::call::decode(part)))
        })
        .collect()
}
