//! Strict JSON (RFC 8259) in and out, as records and state use it.
//!
//! Only objects, lists, strings, booleans and integers from 0 to 2^53-1 exist here. A duplicate key, `null`, a negative or
//! fractional number, or anything after the value is an error that names line and column. Objects keep the order of their keys.

use serde::Serialize;
use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Number, Value};
use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt;

/// The largest integer that every JSON reader represents exactly (RFC 8259 § 6).
pub const LARGEST_INTEGER: u64 = (1 << 53) - 1;

/// Bytes that a record or a state seldom exceeds: room that is made at once.
const USUAL_RECORD: usize = 4 * 1024;
const USUAL_STATE: usize = 32 * 1024;

/// A strict JSON value, as it was read. Objects keep their keys' order; texts stay where they were read, if nothing in them was
/// escaped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Json<'a> {
    /// `true` or `false`.
    Bool(bool),
    /// 0 to 2^53-1.
    Number(u64),
    /// A string.
    String(Cow<'a, str>),
    /// A list.
    List(Vec<Json<'a>>),
    /// An object; no key is there twice.
    Object(Vec<(Cow<'a, str>, Json<'a>)>),
}

impl Json<'_> {
    /// The text of this name in an object; `None` where there is none.
    pub fn text(&self, name: &str) -> Option<&str> {
        match self.member(name)? {
            Json::String(text) => Some(text),
            _ => None,
        }
    }

    /// The number of this name in an object; `None` where there is none.
    pub fn number(&self, name: &str) -> Option<u64> {
        match self.member(name)? {
            Json::Number(number) => Some(*number),
            _ => None,
        }
    }

    fn member(&self, name: &str) -> Option<&Self> {
        let Json::Object(members) = self else { return None };
        members.iter().find(|(key, _)| key == name).map(|(_, value)| value)
    }
}

impl From<Json<'_>> for Value {
    fn from(json: Json) -> Value {
        match json {
            Json::Bool(value) => Value::Bool(value),
            Json::Number(number) => Value::Number(Number::from(number)),
            Json::String(text) => Value::String(text.into_owned()),
            Json::List(list) => Value::Array(list.into_iter().map(Value::from).collect()),
            Json::Object(members) => {
                Value::Object(members.into_iter().map(|(key, value)| (key.into_owned(), value.into())).collect())
            }
        }
    }
}

/// Reads one JSON value, strictly.
///
/// # Errors
/// The parser's own text, which ends in `at line L column C`.
pub fn read(bytes: &[u8]) -> Result<Json<'_>, serde_json::Error> {
    serde_json::from_slice(bytes)
}

/// Writes a value the one way that records are written: two-space indent, keys in their order, one newline at the end.
pub fn write_pretty(value: &impl Serialize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(USUAL_RECORD);
    must_be_written(serde_json::to_writer_pretty(&mut bytes, value));
    bytes.push(b'\n');
    bytes
}

/// Writes a value on one line, without its end.
pub fn write(value: &impl Serialize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(USUAL_STATE);
    must_be_written(serde_json::to_writer(&mut bytes, value));
    bytes
}

fn must_be_written(written: Result<(), serde_json::Error>) {
    written.unwrap_or_else(|error| unreachable!("only strings are keys here, and memory takes all: {error}"));
}

impl<'de> Deserialize<'de> for Json<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(StrictVisitor)
    }
}

struct StrictVisitor;

impl<'de> Visitor<'de> for StrictVisitor {
    type Value = Json<'de>;

    fn expecting(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        formatter.write_str("an object, a list, a string, a boolean or an integer from 0 to 2^53-1")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Json<'de>, E> {
        Ok(Json::Bool(value))
    }

    fn visit_u64<E: serde::de::Error>(self, value: u64) -> Result<Json<'de>, E> {
        if value > LARGEST_INTEGER {
            return Err(E::custom(format!("the number {value} is larger than 2^53-1")));
        }
        Ok(Json::Number(value))
    }

    fn visit_borrowed_str<E>(self, value: &'de str) -> Result<Json<'de>, E> {
        Ok(Json::String(Cow::Borrowed(value)))
    }

    fn visit_str<E>(self, value: &str) -> Result<Json<'de>, E> {
        Ok(Json::String(Cow::Owned(value.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Json<'de>, A::Error> {
        let mut list = Vec::new();
        while let Some(value) = access.next_element()? {
            list.push(value);
        }
        Ok(Json::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Json<'de>, A::Error> {
        let mut members = Distinct::default();
        while let Some(key) = access.next_key()? {
            let Json::String(key) = key else { unreachable!("a key of JSON is a string") };
            if members.has(&key) {
                return Err(A::Error::custom(format!("duplicate key `{}`", key.escape_debug())));
            }
            members.add(key, access.next_value()?);
        }
        Ok(Json::Object(members.list))
    }
}

/// The members of an object that is being read, each key once.
#[derive(Default)]
struct Distinct<'a> {
    list: Vec<(Cow<'a, str>, Json<'a>)>,
    /// The keys, once there are more than any object of the format has: a search through all of them would take too long.
    keys: HashSet<Cow<'a, str>>,
}

impl<'a> Distinct<'a> {
    const FEW: usize = 64;

    fn has(&self, key: &str) -> bool {
        match self.list.len() {
            ..Self::FEW => self.list.iter().any(|(known, _)| known == key),
            _ => self.keys.contains(key),
        }
    }

    fn add(&mut self, key: Cow<'a, str>, value: Json<'a>) {
        self.list.push((key, value));
        match self.list.len() {
            ..Self::FEW => {}
            Self::FEW => self.keys = self.list.iter().map(|(key, _)| key.clone()).collect(),
            more => self.keys.extend(self.list[more - 1..].iter().map(|(key, _)| key.clone())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn refused(text: &str, because: &str) {
        let error = read(text.as_bytes()).expect_err(text).to_string();
        assert!(error.contains(because), "{text}: {error}");
    }

    #[test]
    fn what_is_not_strict_is_refused_with_its_place() {
        refused(r#"{"a":1,"a":2}"#, "duplicate key `a` at line 1 column");
        refused(r#"{"a":{"b":1,"b":1}}"#, "duplicate key `b`");
        refused(r#"{"a":null}"#, "null");
        refused(r#"{"a":-1}"#, "-1");
        refused(r#"{"a":1.5}"#, "floating point");
        refused(r#"{"a":1e3}"#, "floating point");
        refused(r#"{"a":9007199254740992}"#, "larger than 2^53-1");
        refused(r#"{"a":1} x"#, "trailing characters");
        refused("{\"a\":1,\n \"b\":}", "line 2");
        refused("", "EOF");
        refused("\u{feff}{}", "expected value");
        refused(&"[".repeat(200), "recursion limit");
    }

    #[test]
    fn a_key_is_known_among_many() {
        let many = |last: usize| {
            let members: Vec<_> = (0..500).chain([last]).map(|number| format!("\"k{number}\":{number}")).collect();
            format!("{{{}}}", members.join(","))
        };
        assert!(read(many(500).as_bytes()).is_ok());
        for twice in [0, 62, 63, 64, 65, 499] {
            refused(&many(twice), &format!("duplicate key `k{twice}`"));
        }
    }

    #[test]
    fn keys_keep_their_order() {
        let value = read(br#"{"b":1,"a":[true,"x"],"n":9007199254740991}"#).expect("strict");
        assert_eq!(write(&Value::from(value)), b"{\"b\":1,\"a\":[true,\"x\"],\"n\":9007199254740991}");
    }
}
