//! The JSON Schema of the file, for editors.

/// The schema (draft 2020-12): written by hand, held to the parser by tests. It can't see everything that the parser sees.
pub const SCHEMA: &str = include_str!("schema.json");
