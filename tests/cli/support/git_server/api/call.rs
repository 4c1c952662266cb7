//! One request with its parameters, and the shapes of answers.

use super::endpoints::Places;
use super::token::Caller;
use crate::support::git_server::http::{Head, Response};
use chrono::{DateTime, Utc};
use serde_json::{Map, Value, json as to_json};

/// An answer, or the refusal that ends the request early.
pub type Answer = Result<Response, Response>;

/// What is asked, and who asks.
pub struct Call {
    pub caller: Caller,
    /// The path below `/api/v4`, as sent.
    pub path: String,
    /// The query, decoded, in its order.
    pub query: Vec<(String, String)>,
    places: Places,
    parameters: Map<String, Value>,
}

impl Call {
    /// # Errors
    /// 400 for a body that can't be read, 415 for one of another type.
    pub fn new(caller: Caller, head: &Head, path: &str, places: Places, body: &[u8]) -> Result<Call, Response> {
        let query = pairs(head.query().as_bytes());
        let mut parameters = gathered(&query);
        parameters.extend(read_body(head, body)?);
        Ok(Call { caller, path: path.to_owned(), query, places, parameters })
    }

    /// The first parameter that is not among these names.
    pub fn unknown(&self, names: &str) -> Option<&str> {
        let mut sent = self.parameters.keys().map(String::as_str);
        sent.find(|sent| names.split(' ').all(|name| name != *sent))
    }

    /// A varying part of the path, decoded.
    pub fn place(&self, name: &str) -> String {
        let raw = self.places.iter().find(|(known, _)| *known == name).map_or("", |(_, value)| value);
        decode(raw)
    }

    /// A varying part of the path that is a number.
    pub fn number(&self, name: &str) -> Result<u64, Response> {
        self.place(name).parse().map_err(|_| error(400, &format!("{name} is invalid")))
    }

    pub fn has(&self, name: &str) -> bool {
        self.parameters.contains_key(name)
    }

    /// A parameter's text; a number or boolean as it is written.
    pub fn text(&self, name: &str) -> Option<String> {
        self.parameters.get(name).and_then(plain)
    }

    /// A parameter that has to be there and not empty.
    pub fn required(&self, name: &str) -> Result<String, Response> {
        let text = self.text(name).ok_or_else(|| error(400, &format!("{name} is missing")))?;
        if text.is_empty() { Err(error(400, &format!("{name} is empty"))) } else { Ok(text) }
    }

    /// A list's elements; a text is split at its commas.
    pub fn list(&self, name: &str) -> Option<Vec<String>> {
        Some(match self.parameters.get(name)? {
            Value::Array(elements) => elements.iter().filter_map(plain).collect(),
            other => plain(other)?.split(',').map(|part| part.trim().to_owned()).filter(|part| !part.is_empty()).collect(),
        })
    }

    pub fn numbers(&self, name: &str) -> Result<Option<Vec<u64>>, Response> {
        let Some(list) = self.list(name) else { return Ok(None) };
        let numbers = list.iter().map(|text| text.parse());
        numbers.collect::<Result<_, _>>().map(Some).map_err(|_| error(400, &format!("{name} is invalid")))
    }

    pub fn flag(&self, name: &str) -> Result<Option<bool>, Response> {
        match self.text(name).as_deref() {
            None => Ok(None),
            Some("true") => Ok(Some(true)),
            Some("false") => Ok(Some(false)),
            Some(_) => Err(error(400, &format!("{name} is invalid"))),
        }
    }

    /// A parameter that is one of these words; the first of them where it is not given.
    pub fn choice(&self, name: &str, words: &[&'static str]) -> Result<&'static str, Response> {
        match self.text(name) {
            None => Ok(words[0]),
            Some(given) => {
                let known = words.iter().find(|word| **word == given);
                known.copied().ok_or_else(|| error(400, &format!("{name} does not have a valid value")))
            }
        }
    }

    /// A time (RFC 3339).
    pub fn time(&self, name: &str) -> Result<Option<DateTime<Utc>>, Response> {
        let Some(text) = self.text(name) else { return Ok(None) };
        let time = DateTime::parse_from_rfc3339(&text).map_err(|_| error(400, &format!("{name} is invalid")))?;
        Ok(Some(time.to_utc()))
    }

    /// Whether a time lies after `NAME_after` and before `NAME_before`.
    pub fn within(&self, name: &str, time: Option<DateTime<Utc>>) -> Result<bool, Response> {
        let after = self.time(&format!("{name}_after"))?;
        let before = self.time(&format!("{name}_before"))?;
        let Some(time) = time else { return Ok(after.is_none() && before.is_none()) };
        Ok(after.is_none_or(|after| time >= after) && before.is_none_or(|before| time <= before))
    }
}

/// An answer in JSON.
pub fn json(status: u16, body: &Value) -> Response {
    Response::new(status, "application/json", body.to_string())
}

/// An answer with GitLab's usual body of errors.
pub fn message(status: u16, text: &str) -> Response {
    json(status, &to_json!({ "message": text }))
}

/// What is not there, or may not be seen.
pub fn not_found() -> Response {
    message(404, "404 Not Found")
}

/// A parameter that is not as it should be.
pub fn error(status: u16, text: &str) -> Response {
    json(status, &to_json!({ "error": text }))
}

/// Percent-decoding (RFC 3986 § 2.1).
pub fn decode(text: &str) -> String {
    // a path's plus sign is a plus sign
    let escaped = text.replace('+', "%2B").replace('&', "%26").replace('=', "%3D");
    pairs(escaped.as_bytes()).pop().map_or_else(String::new, |(name, _)| name)
}

/// The pairs of a query or a form, decoded, in their order.
pub fn pairs(encoded: &[u8]) -> Vec<(String, String)> {
    url::form_urlencoded::parse(encoded).into_owned().collect()
}

/// `a=1&b[]=2&b[]=3` as an object.
pub fn gathered(pairs: &[(String, String)]) -> Map<String, Value> {
    let mut found = Map::new();
    for (name, value) in pairs {
        match name.strip_suffix("[]") {
            None => {
                found.insert(name.clone(), to_json!(value));
            }
            Some(list) => {
                let elements = found.entry(list).or_insert_with(|| to_json!([]));
                if let Value::Array(elements) = elements {
                    elements.push(to_json!(value));
                }
            }
        }
    }
    found
}

/// The body of a request, JSON or a form; an empty object without one.
pub fn read_body(head: &Head, body: &[u8]) -> Result<Map<String, Value>, Response> {
    if body.is_empty() {
        return Ok(Map::new());
    }
    let content_type = head.header("Content-Type").unwrap_or_default();
    match content_type.split(';').next().unwrap_or_default().trim() {
        "application/json" => serde_json::from_slice(body).map_err(|_| message(400, "400 Bad request - Invalid JSON")),
        "application/x-www-form-urlencoded" => Ok(gathered(&pairs(body))),
        other => Err(error(415, &format!("The provided content-type '{other}' is not supported."))),
    }
}

fn plain(value: &Value) -> Option<String> {
    match value {
        Value::Null | Value::Object(_) | Value::Array(_) => None,
        Value::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    }
}
