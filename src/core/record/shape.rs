//! How the field table becomes types: the `shape!` and `choice!` macros, and the traits that they implement.
//!
//! One declaration in `fields.rs` gives a struct, its strict reader, its writer, its part of the JSON Schema and the visit of
//! its free texts. So a new field is one line there, and nothing can be read but not written, or signed but not redacted.

use super::json::Json;
use serde::{Serialize, ser::SerializeMap};
use serde_json::{Map, Value, json};
use std::borrow::Cow;
use std::collections::VecDeque;
use std::fmt;

/// What is wrong with a value, and where: `commit.sha: …`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldError {
    /// Names of the fields from the outside in; list elements as `[2]`.
    path: Vec<String>,
    problem: String,
}

impl FieldError {
    /// An error at the value itself.
    pub fn new(problem: impl Into<String>) -> Self {
        FieldError { path: Vec::new(), problem: problem.into() }
    }

    /// The same error, seen from the object or list around it.
    #[must_use]
    pub fn within(mut self, outer: impl Into<String>) -> Self {
        self.path.insert(0, outer.into());
        self
    }
}

impl fmt::Display for FieldError {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        if !self.path.is_empty() {
            write!(formatter, "{}: ", self.path.join(".").replace(".[", "["))?;
        }
        formatter.write_str(&self.problem)
    }
}

impl std::error::Error for FieldError {}

/// A type that a field's value can have. What it serializes to is its JSON form; [`json`](super::json) makes the bytes of it.
pub trait FieldType: Serialize + Sized {
    /// Reads the value, strictly.
    ///
    /// # Errors
    /// Says what was expected, without the path.
    fn read(value: Json) -> Result<Self, FieldError>;

    /// The JSON value.
    fn write(&self) -> Value {
        serde_json::to_value(self).unwrap_or_else(|error| unreachable!("only strings are keys here: {error}"))
    }

    /// The JSON Schema (draft 2020-12) of the value.
    fn schema() -> Value;

    /// Calls `visit` with every free text inside, so that none escapes redaction.
    fn visit_texts(&mut self, _visit: &mut dyn FnMut(&mut String)) {}

    /// Adds the keys inside that this version does not know, with their paths from here on.
    fn find_newer(&self, _found: &mut Vec<String>) {}
}

/// A field in its place: required (`T`), optional (`Option<T>`) or a list that may be absent (`Vec<T>`).
pub trait Member: Serialize + Sized {
    /// Whether the object is wrong without it.
    const REQUIRED: bool;

    /// Reads the member; `None` means that the key is absent.
    ///
    /// # Errors
    /// As [`FieldType::read`], and for a required member that is absent.
    fn read_member(value: Option<Json>) -> Result<Self, FieldError>;

    /// Whether it is written; otherwise its key is left out.
    fn is_present(&self) -> bool;

    /// As [`FieldType::schema`].
    fn schema_member() -> Value;

    /// As [`FieldType::visit_texts`].
    fn visit_member(&mut self, visit: &mut dyn FnMut(&mut String));

    /// As [`FieldType::find_newer`].
    fn find_newer_in_member(&self, found: &mut Vec<String>);
}

impl<T: FieldType> Member for T {
    const REQUIRED: bool = true;

    fn read_member(value: Option<Json>) -> Result<Self, FieldError> {
        T::read(value.ok_or_else(|| FieldError::new("is missing"))?)
    }

    fn is_present(&self) -> bool {
        true
    }

    fn schema_member() -> Value {
        T::schema()
    }

    fn visit_member(&mut self, visit: &mut dyn FnMut(&mut String)) {
        self.visit_texts(visit);
    }

    fn find_newer_in_member(&self, found: &mut Vec<String>) {
        self.find_newer(found);
    }
}

impl<T: FieldType> Member for Option<T> {
    const REQUIRED: bool = false;

    fn read_member(value: Option<Json>) -> Result<Self, FieldError> {
        value.map(T::read).transpose()
    }

    fn is_present(&self) -> bool {
        self.is_some()
    }

    fn schema_member() -> Value {
        T::schema()
    }

    fn visit_member(&mut self, visit: &mut dyn FnMut(&mut String)) {
        if let Some(value) = self {
            value.visit_texts(visit);
        }
    }

    fn find_newer_in_member(&self, found: &mut Vec<String>) {
        self.iter().for_each(|value| value.find_newer(found));
    }
}

impl<T: FieldType> Member for Vec<T> {
    const REQUIRED: bool = false;

    fn read_member(value: Option<Json>) -> Result<Self, FieldError> {
        let list = match value {
            None => return Ok(Vec::new()),
            Some(Json::List(list)) => list,
            Some(other) => return Err(expected("a list", &other)),
        };
        if list.is_empty() {
            return Err(FieldError::new("is an empty list, which must be left out"));
        }
        let read = |(index, value)| T::read(value).map_err(|error| error.within(format!("[{index}]")));
        list.into_iter().enumerate().map(read).collect()
    }

    fn is_present(&self) -> bool {
        !self.is_empty()
    }

    fn schema_member() -> Value {
        json!({ "type": "array", "minItems": 1, "items": T::schema() })
    }

    fn visit_member(&mut self, visit: &mut dyn FnMut(&mut String)) {
        for value in self {
            value.visit_texts(visit);
        }
    }

    fn find_newer_in_member(&self, found: &mut Vec<String>) {
        self.iter().for_each(|value| value.find_newer(found));
    }
}

/// The error for a value of another JSON type.
pub fn expected(what: &str, found: &Json) -> FieldError {
    let found = match found {
        Json::Bool(_) => "a boolean",
        Json::Number(_) => "a number",
        Json::String(_) => "a string",
        Json::List(_) => "a list",
        Json::Object(_) => "an object",
    };
    FieldError::new(format!("expected {what}, found {found}"))
}

/// One line of the field table, for the JSON Schema and the documentation.
#[derive(Debug, Clone)]
pub struct FieldInfo {
    /// The key in the JSON object.
    pub name: &'static str,
    /// What it holds, one sentence.
    pub description: &'static str,
    /// Whether the object is wrong without it.
    pub required: bool,
    /// The value's JSON Schema.
    pub schema: Value,
}

/// Fields that a newer version wrote, after those that this one knows: kept in their order, shown and verified.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Newer(Map<String, Value>);

impl Newer {
    /// Puts the fields at the end of the object.
    ///
    /// # Errors
    /// Those of the serializer.
    pub fn serialize_into<M: SerializeMap>(&self, object: &mut M) -> Result<(), M::Error> {
        self.0.iter().try_for_each(|(key, value)| object.serialize_entry(key, value))
    }

    /// The keys, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }
}

/// The members of an object, taken out one by one: in a sound record they come in the table's order.
pub struct Members<'a>(VecDeque<(Cow<'a, str>, Json<'a>)>);

impl<'a> Members<'a> {
    /// Those of this value.
    ///
    /// # Errors
    /// Where it is no object.
    pub fn of(value: Json<'a>) -> Result<Self, FieldError> {
        match value {
            Json::Object(members) => Ok(Members(members.into())),
            other => Err(expected("an object", &other)),
        }
    }

    /// Takes one out; `None` where it is absent.
    pub fn take(&mut self, key: &str) -> Option<Json<'a>> {
        let index = self.0.iter().position(|(known, _)| known == key)?;
        self.0.remove(index).map(|(_, value)| value)
    }

    /// What is left once the known ones were taken out.
    pub fn rest(self) -> Newer {
        Newer(self.0.into_iter().map(|(key, value)| (key.into_owned(), value.into())).collect())
    }
}

/// The JSON Schema of an object with these fields.
pub fn object_schema(name: &str, fields: Vec<FieldInfo>) -> Value {
    let required: Vec<_> = fields.iter().filter(|field| field.required).map(|field| field.name).collect();
    let mut schema = json!({ "title": name, "type": "object", "properties": properties(fields) });
    if !required.is_empty() {
        schema["required"] = json!(required);
    }
    schema
}

/// The `properties` of a JSON Schema, each with its description.
pub fn properties(fields: Vec<FieldInfo>) -> Value {
    let property = |field: FieldInfo| {
        let mut schema = field.schema;
        schema["description"] = json!(field.description);
        (field.name.to_owned(), schema)
    };
    Value::Object(fields.into_iter().map(property).collect())
}

/// Declares an object of the format: a struct with its reader, writer, schema and visit of free texts.
macro_rules! shape {
    ($(#[doc = $about:literal])+ $(#[derive($($derive:ident),+)])? $shape:ident {
        $($(#[doc = $description:literal])+ $field:ident $(= $key:literal)? : $type:ty,)+
    }) => {
        $(#[doc = $about])+
        #[derive(Debug, Clone, PartialEq, Eq $($(, $derive)+)?)]
        pub struct $shape {
            $($(#[doc = $description])+ pub $field: $type,)+
            /// Fields that a newer version wrote.
            pub newer: $crate::core::record::shape::Newer,
        }

        impl $shape {
            /// The shape's lines of the field table, in the order in which they are written.
            pub fn fields() -> Vec<$crate::core::record::shape::FieldInfo> {
                vec![$($crate::core::record::shape::FieldInfo {
                    name: shape!(@key $field $($key)?),
                    description: concat!($($description),+).trim_ascii(),
                    required: <$type as $crate::core::record::shape::Member>::REQUIRED,
                    schema: <$type as $crate::core::record::shape::Member>::schema_member(),
                }),+]
            }

            /// The known fields that are there, in the order in which they are written.
            pub fn present(&self) -> Vec<&'static str> {
                let mut names = Vec::new();
                $(if $crate::core::record::shape::Member::is_present(&self.$field) {
                    names.push(shape!(@key $field $($key)?));
                })+
                names
            }
        }

        impl $crate::core::record::shape::FieldType for $shape {
            fn read(value: $crate::core::record::json::Json) -> Result<Self, $crate::core::record::shape::FieldError> {
                let mut object = $crate::core::record::shape::Members::of(value)?;
                Ok($shape {
                    $($field: $crate::core::record::shape::Member::read_member(object.take(shape!(@key $field $($key)?)))
                        .map_err(|error| error.within(shape!(@key $field $($key)?)))?,)+
                    newer: object.rest(),
                })
            }

            fn schema() -> serde_json::Value {
                $crate::core::record::shape::object_schema(stringify!($shape), $shape::fields())
            }

            fn visit_texts(&mut self, visit: &mut dyn FnMut(&mut String)) {
                $($crate::core::record::shape::Member::visit_member(&mut self.$field, visit);)+
            }

            fn find_newer(&self, found: &mut Vec<String>) {
                $(
                    let known = found.len();
                    $crate::core::record::shape::Member::find_newer_in_member(&self.$field, found);
                    found[known..].iter_mut().for_each(|path| path.insert_str(0, concat!(shape!(@key $field $($key)?), ".")));
                )+
                found.extend(self.newer.names().map(str::to_owned));
            }
        }

        impl serde::Serialize for $shape {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                use serde::ser::SerializeMap as _;
                let mut object = serializer.serialize_map(None)?;
                $(if $crate::core::record::shape::Member::is_present(&self.$field) {
                    object.serialize_entry(shape!(@key $field $($key)?), &self.$field)?;
                })+
                self.newer.serialize_into(&mut object)?;
                object.end()
            }
        }
    };
    (@key $field:ident) => { stringify!($field) };
    (@key $field:ident $key:literal) => { $key };
}
pub(crate) use shape;

/// Declares a closed list of words: an enum with its reader, writer and schema.
macro_rules! choice {
    ($(#[doc = $about:literal])+ $choice:ident { $($(#[doc = $description:literal])+ $variant:ident = $word:literal,)+ }) => {
        $(#[doc = $about])+
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $choice { $($(#[doc = $description])+ $variant,)+ }

        impl $choice {
            /// Every value, in the order of the declaration.
            pub const ALL: &'static [$choice] = &[$($choice::$variant),+];

            /// The word that stands in records.
            pub const fn as_str(self) -> &'static str {
                match self { $($choice::$variant => $word,)+ }
            }

            /// What it means.
            pub const fn description(self) -> &'static str {
                match self { $($choice::$variant => concat!($($description),+).trim_ascii(),)+ }
            }
        }

        impl std::fmt::Display for $choice {
            fn fmt(&self, formatter: &mut std::fmt::Formatter) -> std::fmt::Result {
                formatter.pad(self.as_str())
            }
        }

        impl std::str::FromStr for $choice {
            type Err = String;

            fn from_str(word: &str) -> Result<Self, String> {
                match word {
                    $($word => Ok($choice::$variant),)+
                    _ => Err(format!("expected one of {}, found `{}`", [$($word),+].join(", "), word.escape_debug())),
                }
            }
        }

        impl $crate::core::record::shape::FieldType for $choice {
            fn read(value: $crate::core::record::json::Json) -> Result<Self, $crate::core::record::shape::FieldError> {
                let $crate::core::record::json::Json::String(word) = value else {
                    return Err($crate::core::record::shape::expected("a string", &value));
                };
                word.parse().map_err($crate::core::record::shape::FieldError::new)
            }

            fn schema() -> serde_json::Value {
                serde_json::json!({ "title": stringify!($choice), "enum": [$($word),+] })
            }
        }

        impl serde::Serialize for $choice {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }
    };
}
pub(crate) use choice;
