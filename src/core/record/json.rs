//! Strict JSON (RFC 8259) in and out, as records and state use it.
//!
//! Only objects, lists, strings, booleans and integers from 0 to 2^53-1 exist here. A duplicate key, `null`, a negative or
//! fractional number, or anything after the value is an error that names line and column. Objects keep the order of their keys.

use serde::Serialize;
use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::map::Entry;
use serde_json::{Map, Number, Value};
use std::fmt;

/// The largest integer that every JSON reader represents exactly (RFC 8259 § 6).
pub const LARGEST_INTEGER: u64 = (1 << 53) - 1;

/// Bytes that a record or a state seldom exceeds: room that is made at once.
const USUAL_RECORD: usize = 4 * 1024;
const USUAL_STATE: usize = 32 * 1024;

/// Reads one JSON value, strictly.
///
/// # Errors
/// The parser's own text, which ends in `at line L column C`.
pub fn read(bytes: &[u8]) -> Result<Value, serde_json::Error> {
    serde_json::from_slice::<Strict>(bytes).map(|strict| strict.0)
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

struct Strict(Value);

impl<'de> Deserialize<'de> for Strict {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(StrictVisitor)
    }
}

struct StrictVisitor;

impl<'de> Visitor<'de> for StrictVisitor {
    type Value = Strict;

    fn expecting(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        formatter.write_str("an object, a list, a string, a boolean or an integer from 0 to 2^53-1")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Strict, E> {
        Ok(Strict(Value::Bool(value)))
    }

    fn visit_u64<E: serde::de::Error>(self, value: u64) -> Result<Strict, E> {
        if value > LARGEST_INTEGER {
            return Err(E::custom(format!("the number {value} is larger than 2^53-1")));
        }
        Ok(Strict(Value::Number(Number::from(value))))
    }

    fn visit_str<E>(self, value: &str) -> Result<Strict, E> {
        Ok(Strict(Value::String(value.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Strict, A::Error> {
        let mut list = Vec::new();
        while let Some(Strict(value)) = access.next_element()? {
            list.push(value);
        }
        Ok(Strict(Value::Array(list)))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Strict, A::Error> {
        let mut map = Map::new();
        while let Some(key) = access.next_key::<String>()? {
            let Entry::Vacant(place) = map.entry(key.as_str()) else {
                return Err(A::Error::custom(format!("duplicate key `{}`", key.escape_debug())));
            };
            let Strict(value) = access.next_value()?;
            place.insert(value);
        }
        Ok(Strict(Value::Object(map)))
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
    fn keys_keep_their_order() {
        let value = read(br#"{"b":1,"a":[true,"x"],"n":9007199254740991}"#).expect("strict");
        assert_eq!(write(&value), b"{\"b\":1,\"a\":[true,\"x\"],\"n\":9007199254740991}");
    }
}
