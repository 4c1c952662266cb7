//! Records: what they hold, how their bytes are written, and how they are read.
//!
//! A record is one JSON object: UTF-8 without byte order mark, two-space indent, fields in the order of the table in
//! [`fields`], absent values left out, one newline at the end. Those bytes are hashed and signed; nothing is written anew in
//! order to verify. Reading is strict: it accepts exactly what [`Record::to_bytes`] writes, so that
//! `parse(write(x)) = x` and `write(parse(b)) = b`.

pub mod fields;
pub mod json;
pub mod kinds;
pub mod schema;
pub mod shape;
#[cfg(test)]
pub(crate) mod tests;
pub mod values;

pub use fields::*;
pub use values::{Base64, CommitId, Digest, Id, Line, Link, Name, Text, Time};

use chrono::DateTime;
use json::Json;
use shape::{FieldError, FieldType as _};

/// The format that this version writes and reads.
pub const SCHEMA: &str = "deploy-record/v1";

/// The most that one record may hold, in bytes.
pub const LARGEST_RECORD: usize = 1024 * 1024;

/// Why bytes are no record that this version can read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParseError {
    /// More than [`LARGEST_RECORD`].
    #[error("the record is {0} bytes long; the most is {LARGEST_RECORD}")]
    TooLarge(usize),
    /// Not the strict JSON of records.
    #[error("the record is no strict JSON: {0}")]
    Json(String),
    /// A field is missing, wrong or out of place.
    #[error("{0}")]
    Field(#[from] FieldError),
    /// The right content in other bytes than the format's.
    #[error("line {line} is not written as the format has it")]
    NotCanonical {
        /// The first line that differs, counted from 1.
        line: usize,
    },
    /// A format or kind of a later version: not damage, but not readable here.
    #[error("the {what} `{found}` is not known to this version: update deploy-record{at_least}")]
    Newer {
        /// `schema` or `kind`.
        what: &'static str,
        /// What stands there.
        found: String,
        /// ` to at least VERSION`, where the record says which version made it.
        at_least: String,
    },
}

impl Record {
    /// A record of this kind of which nothing else is known yet: who appends it gives it its place in the log and its signer.
    pub fn draft(kind: Kind) -> Record {
        let nothing = Id::from_bits([0; 16]);
        let earliest = Time::new(DateTime::UNIX_EPOCH);
        let head = [
            ("schema", SCHEMA),
            ("log", nothing.as_str()),
            ("prev", &Digest::ZERO.to_string()),
            ("id", nothing.as_str()),
            ("kind", kind.as_str()),
            ("recorded_at", &earliest.to_string()),
            ("signer", "nobody"),
            ("tool", "deploy-record"),
        ];
        let texts = head.map(|(name, text)| (name.into(), Json::String(text.into())));
        let members = texts.into_iter().chain([("seq".into(), Json::Number(0))]).collect();
        Record::read(Json::Object(members)).unwrap_or_else(|error| unreachable!("every required field is here: {error}"))
    }

    /// Reads a record's bytes, strictly.
    ///
    /// # Errors
    /// Names the place: line and column, or the field.
    pub fn parse(bytes: &[u8]) -> Result<Record, ParseError> {
        if bytes.len() > LARGEST_RECORD {
            return Err(ParseError::TooLarge(bytes.len()));
        }
        let value = json::read(bytes).map_err(|error| ParseError::Json(error.to_string()))?;
        check_is_known(&value)?;
        let record = Record::read(value)?;
        kinds::check(&record)?;
        let written = record.to_bytes();
        if written != bytes {
            return Err(ParseError::NotCanonical { line: first_difference(&written, bytes) });
        }
        Ok(record)
    }

    /// The record's bytes, as they are hashed and signed.
    pub fn to_bytes(&self) -> Vec<u8> {
        json::write_pretty(self)
    }

    /// Checks a record that is about to be written, by the same rules that reading has.
    ///
    /// # Errors
    /// As [`Record::parse`].
    pub fn check(&self) -> Result<(), ParseError> {
        Record::parse(&self.to_bytes()).map(|_| ())
    }

    /// Keys that this version does not know, with their paths: `commit.reviewed`.
    pub fn newer_fields(&self) -> Vec<String> {
        let mut found = Vec::new();
        self.find_newer(&mut found);
        found
    }

    /// Whether the record tells of a delivery: a deployment or a rollback.
    pub fn is_delivery(&self) -> bool {
        matches!(self.kind, Kind::Deployment | Kind::Rollback)
    }
}

impl Person {
    /// How short lists name the person: by login, else by name.
    pub fn short(&self) -> Option<Line> {
        let login = self.login.as_ref().and_then(|login| Line::clean(login.as_str()));
        login.or_else(|| self.name.clone())
    }
}

fn check_is_known(value: &Json) -> Result<(), ParseError> {
    let text = |field: &str| value.text(field);
    let newer = |what, found: &str| {
        let version = text("tool").and_then(|tool| tool.strip_prefix("deploy-record "));
        let at_least = version.map(|version| format!(" to at least {}", version.escape_debug())).unwrap_or_default();
        Err(ParseError::Newer { what, found: found.escape_debug().to_string(), at_least })
    };
    match (text("schema"), text("kind")) {
        (Some(schema), _) if schema != SCHEMA => newer("schema", schema),
        (Some(_), Some(kind)) if kind.parse::<Kind>().is_err() => newer("kind", kind),
        _ => Ok(()),
    }
}

fn first_difference(written: &[u8], found: &[u8]) -> usize {
    let mut lines = written.split(|&byte| byte == b'\n').zip(found.split(|&byte| byte == b'\n'));
    1 + lines.position(|(written, found)| written != found).unwrap_or_else(|| written.split(|&byte| byte == b'\n').count())
}
