//! Values of the file, read strictly: what is not as expected is a problem that says what is.

use super::problem::{Path, Problem, Step, quoted};
use super::tree::Node;
use crate::core::nearest;
use crate::core::record::Name;
use std::fmt::Display;
use std::str::FromStr;

/// A value, and where it stands.
#[derive(Debug, Clone)]
pub struct Value<'t> {
    node: &'t Node,
    path: Path,
}

impl<'t> Value<'t> {
    /// All of the file.
    pub fn root(node: &'t Node) -> Self {
        Value { node, path: Path::default() }
    }

    /// A problem with it.
    pub fn wrong(&self, words: impl Into<String>) -> Problem {
        Problem::at(self.path.clone(), words)
    }

    /// Whether nothing is written after its key.
    pub fn is_nothing(&self) -> bool {
        *self.node == Node::Nothing
    }

    /// Whether it is this text.
    pub fn is_text(&self, text: &str) -> bool {
        matches!(self.node, Node::Text(own) if own == text)
    }

    /// What lies in it, whatever its keys are; nothing where it is no mapping.
    pub fn entries(&self) -> Vec<Value<'t>> {
        let Node::Mapping(entries) = self.node else { return Vec::new() };
        entries.iter().map(|(key, node)| Value { node, path: self.path.key(key) }).collect()
    }

    /// The value of a key, whatever the others are.
    pub fn entry(&self, key: &str) -> Option<Value<'t>> {
        let Node::Mapping(entries) = self.node else { return None };
        entry(entries, &self.path, key)
    }

    fn expected(&self, what: &str, example: &str) -> Problem {
        if self.is_nothing() {
            return self.wrong(format!("has no value; write {what} such as `{example}`, or take the key out"));
        }
        self.wrong(format!("expected {what} such as `{example}`, found {}", self.found()))
    }

    fn found(&self) -> String {
        match self.node {
            Node::Nothing => "nothing".to_owned(),
            Node::Boolean(value) => value.to_string(),
            Node::Number(number) => format!("the number {number}"),
            Node::Text(text) => quoted(text),
            Node::List(_) => "a list".to_owned(),
            Node::Mapping(_) => "a mapping".to_owned(),
        }
    }

    /// A text that is not empty.
    pub fn text(&self, example: &str) -> Result<&'t str, Problem> {
        match self.node {
            Node::Text(text) if text.trim().is_empty() => {
                Err(self.wrong(format!("is empty; write a text such as `{example}`")))
            }
            Node::Text(text) => Ok(text),
            Node::Number(text) => Err(self.no_text(example, text)),
            Node::Boolean(value) => Err(self.no_text(example, &value.to_string())),
            _ => Err(self.expected("a text", example)),
        }
    }

    fn no_text(&self, example: &str, written: &str) -> Problem {
        let found = self.found();
        self.wrong(format!(
            "expected a text such as `{example}`, found {found}; if that is meant, put it into quotes: `\"{written}\"`"
        ))
    }

    /// A text that means something.
    pub fn parsed<T: FromStr<Err = String>>(&self, example: &str) -> Result<T, Problem> {
        self.text(example)?.parse().map_err(|problem: String| self.wrong(problem))
    }

    /// One of these words.
    pub fn word<T: Copy + Display>(&self, all: &[T]) -> Result<T, Problem> {
        let words: Vec<_> = all.iter().map(T::to_string).collect();
        let words: Vec<_> = words.iter().map(String::as_str).collect();
        let found = all.iter().zip(&words).find(|(_, word)| self.is_text(word)).map(|(value, _)| *value);
        found.ok_or_else(|| {
            let near = if let Node::Text(text) = self.node { near(text, &words) } else { String::new() };
            self.wrong(format!("expected one of {}, found {}{near}", words.join(", "), self.found()))
        })
    }

    /// `true` or `false`.
    pub fn boolean(&self) -> Result<bool, Problem> {
        match self.node {
            Node::Boolean(value) => Ok(*value),
            _ => Err(self.expected("`true` or `false`, without quotes,", "false")),
        }
    }

    /// A whole number.
    pub fn number(&self, example: &str) -> Result<u64, Problem> {
        let number = match self.node {
            Node::Number(number) => number.parse().ok(),
            _ => None,
        };
        number.ok_or_else(|| self.expected("a whole number from 0, without quotes,", example))
    }

    /// A list.
    pub fn list(&self, example: &str) -> Result<Vec<Value<'t>>, Problem> {
        match self.node {
            Node::List(nodes) => {
                let path = |index| self.path.then(Step::Index(index));
                Ok(nodes.iter().enumerate().map(|(index, node)| Value { node, path: path(index) }).collect())
            }
            Node::Text(_) => Err(self.wrong(format!("expected a list; put it into brackets, as in `{example}`"))),
            _ => Err(self.expected("a list", example)),
        }
    }

    /// A list that has something.
    pub fn full_list(&self, example: &str) -> Result<Vec<Value<'t>>, Problem> {
        let list = self.list(example)?;
        if list.is_empty() {
            return Err(self.wrong(format!("is empty; write `{example}`, or take the key out")));
        }
        Ok(list)
    }

    /// A list of what can be parsed, nothing in it twice.
    pub fn set<T: FromStr<Err = String> + PartialEq>(&self, list: &str, example: &str) -> Result<Vec<T>, Problem> {
        let mut all = Vec::new();
        for value in self.list(list)? {
            let one = value.parsed(example)?;
            value.refuse_second(&all, &one)?;
            all.push(one);
        }
        Ok(all)
    }

    /// Refuses what an earlier element of the list has said.
    pub fn refuse_second<T: PartialEq>(&self, earlier: &[T], one: &T) -> Result<(), Problem> {
        if earlier.contains(one) { Err(self.wrong("is in the list twice; take one out")) } else { Ok(()) }
    }

    /// A mapping with these keys and no others.
    pub fn section(&self, example: &str, keys: &'static [&'static str]) -> Result<Section<'t>, Problem> {
        let Node::Mapping(entries) = self.node else { return Err(self.expected("a mapping", example)) };
        if let Some((key, _)) = entries.iter().find(|(key, _)| !keys.contains(&key.as_str())) {
            let problem = format!("is an unknown key{}; allowed here: {}", near(key, keys), keys.join(", "));
            return Err(Problem::at(self.path.key(key), problem));
        }
        Ok(Section { path: self.path.clone(), entries, keys })
    }

    /// A mapping from names that the team chooses.
    pub fn named(&self, example: &str) -> Result<Vec<(Name, Value<'t>)>, Problem> {
        let Node::Mapping(entries) = self.node else { return Err(self.expected("a mapping", example)) };
        let named = |(key, node): &'t (String, Node)| {
            let path = self.path.key(key);
            let wrong = |problem| Problem::at(path.clone(), format!("as a name {problem}; write it as in `{example}`"));
            Ok((Name::new(key.as_str()).map_err(wrong)?, Value { node, path: path.clone() }))
        };
        entries.iter().map(named).collect()
    }
}

fn entry<'t>(entries: &'t [(String, Node)], path: &Path, key: &str) -> Option<Value<'t>> {
    let (key, node) = entries.iter().find(|(known, _)| known == key)?;
    Some(Value { node, path: path.key(key) })
}

/// A mapping with known keys.
#[derive(Debug, Clone)]
pub struct Section<'t> {
    path: Path,
    entries: &'t [(String, Node)],
    keys: &'static [&'static str],
}

impl<'t> Section<'t> {
    /// The value of a key, where that is there.
    pub fn get(&self, key: &str) -> Option<Value<'t>> {
        debug_assert!(self.keys.contains(&key), "`{key}` is none of the section's keys");
        entry(self.entries, &self.path, key)
    }

    /// The value of a key that has to be there.
    pub fn required(&self, key: &str, example: &str) -> Result<Value<'t>, Problem> {
        self.get(key).ok_or_else(|| self.wrong(format!("lacks `{key}`; add it, as in `{example}`")))
    }

    /// A problem with all of it.
    pub fn wrong(&self, words: impl Into<String>) -> Problem {
        Problem::at(self.path.clone(), words)
    }
}

/// The word that was meant, maybe.
pub fn near(word: &str, words: &[&str]) -> String {
    let near = nearest::of(word, words.iter().copied());
    near.map(|near| format!(" (did you mean `{near}`?)")).unwrap_or_default()
}
