//! Fields of GitLab's answers, typed. Only those that are asked for are looked at: answers have many more, and newer servers add to
//! them. Deriving readers for each kind of answer would make the program a fifth of a megabyte larger.

use chrono::{DateTime, Utc};
use serde_json::Value;

/// What an answer, or a part of it, is read into.
pub(super) trait Answer: Sized {
    /// # Errors
    /// Names the field that is missing, or is not what it should be.
    fn read(fields: Fields) -> Result<Self, String>;
}

/// An object, where it stands in the answer.
#[derive(Clone, Copy)]
pub(super) struct Fields<'a>(&'a Value);

impl<'a> Fields<'a> {
    fn get(self, name: &str) -> Option<&'a Value> {
        self.0.get(name).filter(|value| !value.is_null())
    }

    fn required(self, name: &str) -> Result<&'a Value, String> {
        self.get(name).ok_or_else(|| format!("`{name}` is missing"))
    }

    /// A number that must be there.
    pub fn number(self, name: &str) -> Result<u64, String> {
        self.required(name)?.as_u64().ok_or_else(|| format!("`{name}` is no number"))
    }

    /// A text that must be there.
    pub fn text(self, name: &str) -> Result<String, String> {
        self.optional_text(name)?.ok_or_else(|| format!("`{name}` is missing"))
    }

    /// A text that may be absent.
    pub fn optional_text(self, name: &str) -> Result<Option<String>, String> {
        let Some(value) = self.get(name) else { return Ok(None) };
        value.as_str().map(|text| Some(text.to_owned())).ok_or_else(|| format!("`{name}` is no text"))
    }

    /// Texts, none where the field is absent.
    pub fn texts(self, name: &str) -> Result<Vec<String>, String> {
        let texts = self.elements(name)?.iter();
        texts.map(|text| text.as_str().map(str::to_owned).ok_or_else(|| format!("`{name}` holds what is no text"))).collect()
    }

    /// Yes or no; `None` where the field is absent.
    pub fn flag(self, name: &str) -> Result<Option<bool>, String> {
        let Some(value) = self.get(name) else { return Ok(None) };
        value.as_bool().map(Some).ok_or_else(|| format!("`{name}` is neither true nor false"))
    }

    /// A moment that may be absent.
    pub fn time(self, name: &str) -> Result<Option<DateTime<Utc>>, String> {
        let Some(text) = self.optional_text(name)? else { return Ok(None) };
        let time = DateTime::parse_from_rfc3339(&text).map_err(|_| format!("`{name}` is no time"))?;
        Ok(Some(time.with_timezone(&Utc)))
    }

    /// A part that may be absent.
    pub fn part<T: Answer>(self, name: &str) -> Result<Option<T>, String> {
        self.get(name).map(|value| read(value).map_err(|problem| format!("{name}: {problem}"))).transpose()
    }

    /// Parts, none where the field is absent.
    pub fn parts<T: Answer>(self, name: &str) -> Result<Vec<T>, String> {
        self.elements(name)?.iter().map(|value| read(value).map_err(|problem| format!("{name}: {problem}"))).collect()
    }

    fn elements(self, name: &str) -> Result<&'a [Value], String> {
        match self.get(name) {
            None => Ok(&[]),
            Some(Value::Array(elements)) => Ok(elements),
            Some(_) => Err(format!("`{name}` is no list")),
        }
    }
}

fn read<T: Answer>(value: &Value) -> Result<T, String> {
    match value {
        Value::Object(_) => T::read(Fields(value)),
        _ => Err("it is no object".to_owned()),
    }
}

/// An answer that is one object.
pub(super) fn one<T: Answer>(value: &Value) -> Result<T, String> {
    read(value)
}

/// An answer that is a list of objects.
pub(super) fn many<T: Answer>(value: &Value) -> Result<Vec<T>, String> {
    match value {
        Value::Array(elements) => elements.iter().map(read).collect(),
        _ => Err("it is no list".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[derive(Debug, PartialEq)]
    struct Thing {
        id: u64,
        name: Option<String>,
        is_new: bool,
        at: Option<DateTime<Utc>>,
        labels: Vec<String>,
        inner: Option<Box<Thing>>,
    }

    impl Answer for Box<Thing> {
        fn read(fields: Fields) -> Result<Self, String> {
            Thing::read(fields).map(Box::new)
        }
    }

    impl Answer for Thing {
        fn read(fields: Fields) -> Result<Self, String> {
            Ok(Thing {
                id: fields.number("id")?,
                name: fields.optional_text("name")?,
                is_new: fields.flag("is_new")?.unwrap_or_default(),
                at: fields.time("at")?,
                labels: fields.texts("labels")?,
                inner: fields.part("inner")?,
            })
        }
    }

    #[test]
    fn what_is_there_is_read_and_the_rest_is_left_alone() {
        let thing: Thing =
            one(&json!({ "id": 1, "name": null, "new": 3, "at": "2026-11-28T10:00:00.123+01:00", "labels": ["a"] }))
                .expect("a thing");
        assert_eq!((thing.id, thing.name, thing.is_new, thing.labels), (1, None, false, vec!["a".to_owned()]));
        assert_eq!(thing.at.map(|at| at.timestamp_millis()), Some(1_795_856_400_123));
        assert_eq!(many::<Thing>(&json!([{ "id": 1 }, { "id": 2 }])).expect("two").len(), 2);
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (answer, problem) in [
            (json!({}), "`id` is missing"),
            (json!({ "id": null }), "`id` is missing"),
            (json!({ "id": -1 }), "`id` is no number"),
            (json!({ "id": "1" }), "`id` is no number"),
            (json!({ "id": 1, "name": 2 }), "`name` is no text"),
            (json!({ "id": 1, "is_new": "yes" }), "`is_new` is neither"),
            (json!({ "id": 1, "at": "yesterday" }), "`at` is no time"),
            (json!({ "id": 1, "labels": "a,b" }), "`labels` is no list"),
            (json!({ "id": 1, "labels": [{}] }), "`labels` holds"),
            (json!({ "id": 1, "inner": { "id": 2, "at": 3 } }), "inner: `at` is no text"),
            (json!([]), "it is no object"),
            (json!("x"), "it is no object"),
        ] {
            assert!(one::<Thing>(&answer).expect_err("wrong").contains(problem), "{answer}");
        }
        assert!(many::<Thing>(&json!({})).is_err() && many::<Thing>(&json!([1])).is_err());
    }
}
