//! Parts of a state that keep the JSON that they were written as.

use crate::core::record::json::Json;
use crate::core::record::shape::{FieldError, FieldType};
use serde::{Serialize, Serializer};
use serde_json::Value;
use serde_json::value::{RawValue, to_raw_value};
use std::ops::Deref;
use std::sync::OnceLock;

/// A part of a state that seldom changes. A whole log is verified by writing the state anew after each record, and nearly all
/// of it is as it was: so what was written is kept until the part changes.
#[derive(Debug, Clone)]
pub struct Rendered<T> {
    value: T,
    json: OnceLock<Box<RawValue>>,
}

impl<T> Rendered<T> {
    /// The part, to be changed.
    pub fn change(&mut self) -> &mut T {
        self.json.take();
        &mut self.value
    }

    /// The part alone.
    pub fn into_inner(self) -> T {
        self.value
    }
}

impl<T> From<T> for Rendered<T> {
    fn from(value: T) -> Self {
        Rendered { value, json: OnceLock::new() }
    }
}

impl<T> Deref for Rendered<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T: PartialEq> PartialEq for Rendered<T> {
    fn eq(&self, other: &Self) -> bool {
        self.value == other.value
    }
}

impl<T: Eq> Eq for Rendered<T> {}

impl<T: Serialize> Serialize for Rendered<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let render = || to_raw_value(&self.value).unwrap_or_else(|error| unreachable!("only strings are keys here: {error}"));
        self.json.get_or_init(render).serialize(serializer)
    }
}

impl<T: FieldType> FieldType for Rendered<T> {
    fn read(value: Json) -> Result<Self, FieldError> {
        T::read(value).map(Rendered::from)
    }

    fn schema() -> Value {
        T::schema()
    }

    fn visit_texts(&mut self, visit: &mut dyn FnMut(&mut String)) {
        self.change().visit_texts(visit);
    }

    fn find_newer(&self, found: &mut Vec<String>) {
        self.value.find_newer(found);
    }
}
