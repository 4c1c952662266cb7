//! YAML text as a tree, and the line on which something in it stands.

use super::problem::{Path, Problem, Step, quoted};
use serde::de::{DeserializeSeed, Deserializer, EnumAccess, Error, MapAccess, SeqAccess, Visitor};
use std::cell::{Cell, RefCell};
use std::collections::HashSet;
use std::fmt;

/// The most values that a file may have: aliases can make much of little.
const MOST_VALUES: usize = 10_000;

/// The most bytes that their texts may have together.
const MOST_TEXT: usize = 256 * 1024;

/// The most bytes of one text.
const LONGEST_TEXT: usize = 2_000;

/// The most bytes of a key.
const LONGEST_KEY: usize = 255;

/// The most brackets that may be open.
const DEEPEST: usize = 100;

/// A value as it is written.
#[derive(Debug, Clone, PartialEq)]
pub enum Node {
    /// No value, or `null`.
    Nothing,
    /// `true` or `false`.
    Boolean(bool),
    /// A number, as it is written where that is known.
    Number(String),
    /// A text.
    Text(String),
    /// A list.
    List(Vec<Node>),
    /// A mapping, in the order of the file; each key is there once.
    Mapping(Vec<(String, Node)>),
}

/// Reads a file.
///
/// # Errors
/// Where it is no YAML, or has what no configuration has: a key twice, keys that are no text, tags, control characters.
pub fn read(text: &str) -> Result<Node, Problem> {
    refuse_control_characters(text)?;
    refuse_depth(text)?;
    walk(text, None).map_err(|problem| match problem.line {
        Some(_) => problem,
        None => Problem { line: line_of(text, &problem.path), ..problem },
    })
}

/// The line of a key or an element of a list, counted from 1.
pub fn line_of(text: &str, path: &Path) -> Option<usize> {
    walk(text, Some(path)).err()?.line
}

fn refuse_control_characters(text: &str) -> Result<(), Problem> {
    let is_control = |character: char| match character {
        '\t' | '\n' | '\r' | '\u{85}' => false,
        '\u{feff}' | '\u{fffe}' | '\u{ffff}' => true,
        other => other.is_control(),
    };
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let Some(index) = text.find(is_control) else { return Ok(()) };
    let line = text[..index].matches('\n').count() + 1;
    Err(Problem { line: Some(line), ..Problem::at(Path::default(), "holds a control character; take it out") })
}

/// Brackets that are not closed cost the parser the square of their number.
fn refuse_depth(text: &str) -> Result<(), Problem> {
    let mut depth = 0usize;
    for (index, line) in text.lines().enumerate() {
        for byte in line.bytes() {
            match byte {
                b'[' | b'{' => depth += 1,
                b']' | b'}' => depth = depth.saturating_sub(1),
                _ => {}
            }
        }
        if depth > DEEPEST {
            let words = format!("has more than {DEEPEST} brackets that are not closed; close them");
            return Err(Problem { line: Some(index + 1), ..Problem::at(Path::default(), words) });
        }
    }
    Ok(())
}

fn walk(text: &str, wanted: Option<&Path>) -> Result<Node, Problem> {
    let walk = Walk { wanted, ..Walk::default() };
    let error = match Value(&walk).deserialize(serde_yaml::Deserializer::from_str(text)) {
        Ok(node) => return Ok(node),
        Err(error) => error,
    };
    let last = text.lines().count().max(1);
    let line = error.location().map(|location| location.line().min(last));
    if line.is_none() && walk.values.get() == 0 {
        // there is nothing but comments
        return Ok(Node::Nothing);
    }
    let path = walk.here.into_inner();
    match walk.problem.into_inner() {
        Some(words) => Err(Problem { path, line, words }),
        None => Err(no_yaml(&error, path, line, text)),
    }
}

/// The parser's words, with what to do.
fn no_yaml(error: &serde_yaml::Error, path: Path, line: Option<usize>, text: &str) -> Problem {
    let words = error.to_string();
    if words.contains("more than one document") {
        let line = text.lines().collect::<Vec<_>>().iter().rposition(|line| line.starts_with("---"));
        let words = "has more than one document; take out the line `---` between them";
        return Problem { line: line.map(|index| index + 1), ..Problem::at(Path::default(), words) };
    }
    if words.contains("limit exceeded") {
        return Problem {
            line,
            ..Problem::at(path.first(), "is nested too deeply, or has an alias (`*name`) in itself; write it out")
        };
    }
    let words = words.split(" at line ").next().unwrap_or_default();
    let at = line.and_then(|line| text.lines().nth(line - 1)).unwrap_or_default();
    let indent = &at[..at.len() - at.trim_start().len()];
    let remedy = if indent.contains('\t') {
        "indent with spaces, not with tabs"
    } else if at.contains(['*', '&', '!', '%', '@', '`']) {
        "put texts with `*`, `&`, `!`, `%`, `@` or a backtick into quotes, as in `\"*.sql\"`"
    } else {
        "look at the indentation, and for brackets and quotes that are not closed"
    };
    Problem { line, ..Problem::at(path, format!("is no YAML: {words}; {remedy}")) }
}

/// A walk through the file: where it is, and why it stopped.
#[derive(Default)]
struct Walk<'w> {
    here: RefCell<Path>,
    problem: RefCell<Option<String>>,
    values: Cell<usize>,
    bytes: Cell<usize>,
    /// Where to stop in any case, to learn the line.
    wanted: Option<&'w Path>,
}

impl Walk<'_> {
    fn stop<E: Error>(&self, problem: impl Into<String>) -> E {
        let problem = problem.into();
        let error = E::custom(&problem);
        *self.problem.borrow_mut() = Some(problem);
        error
    }

    fn enter(&self, step: Step) {
        self.here.borrow_mut().push(step);
    }

    /// Stops where this is what is wanted.
    fn look<E: Error>(&self) -> Result<(), E> {
        match self.wanted {
            Some(wanted) if *wanted == *self.here.borrow() => Err(self.stop("here")),
            _ => Ok(()),
        }
    }

    fn leave(&self) {
        self.here.borrow_mut().pop();
    }

    fn count<E: Error>(&self, bytes: usize) -> Result<(), E> {
        self.values.set(self.values.get() + 1);
        self.bytes.set(self.bytes.get() + bytes);
        self.look()?;
        if self.values.get() > MOST_VALUES || self.bytes.get() > MOST_TEXT {
            return Err(self.stop(format!(
                "makes more than {MOST_VALUES} values or {MOST_TEXT} bytes of the file; write it out without aliases (`*name`)"
            )));
        }
        Ok(())
    }
}

/// Any value.
#[derive(Clone, Copy)]
struct Value<'w>(&'w Walk<'w>);

impl<'de> DeserializeSeed<'de> for Value<'_> {
    type Value = Node;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Node, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl Value<'_> {
    fn number<E: Error>(self, number: impl fmt::Display) -> Result<Node, E> {
        self.0.count(0)?;
        Ok(Node::Number(number.to_string()))
    }
}

impl<'de> Visitor<'de> for Value<'_> {
    type Value = Node;

    fn expecting(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        formatter.write_str("a value")
    }

    fn visit_unit<E: Error>(self) -> Result<Node, E> {
        self.0.count(0)?;
        Ok(Node::Nothing)
    }

    fn visit_none<E: Error>(self) -> Result<Node, E> {
        self.visit_unit()
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Node, E> {
        self.0.count(0)?;
        Ok(Node::Boolean(value))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Node, E> {
        self.number(value)
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Node, E> {
        self.number(value)
    }

    fn visit_u128<E: Error>(self, value: u128) -> Result<Node, E> {
        self.number(value)
    }

    fn visit_i128<E: Error>(self, value: i128) -> Result<Node, E> {
        self.number(value)
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Node, E> {
        self.number(value)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Node, E> {
        self.0.count(text.len())?;
        if text.len() > LONGEST_TEXT {
            return Err(self.0.stop(format!("is {} bytes long; a text has at most {LONGEST_TEXT}", text.len())));
        }
        if text.contains(char::is_control) {
            return Err(self.0.stop("holds a control character or line end; write it on one line"));
        }
        Ok(Node::Text(text.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Node, A::Error> {
        self.0.count(0)?;
        let mut nodes = Vec::new();
        loop {
            self.0.enter(Step::Index(nodes.len()));
            let Some(node) = list.next_element_seed(self)? else { break };
            self.0.leave();
            nodes.push(node);
        }
        self.0.leave();
        Ok(Node::List(nodes))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut mapping: A) -> Result<Node, A::Error> {
        self.0.count(0)?;
        let (mut nodes, mut seen) = (Vec::new(), HashSet::new());
        while let Some(key) = mapping.next_key_seed(Key { walk: self.0, seen: &seen })? {
            let node = mapping.next_value_seed(self)?;
            self.0.leave();
            seen.insert(key.clone());
            nodes.push((key, node));
        }
        Ok(Node::Mapping(nodes))
    }

    fn visit_enum<A: EnumAccess<'de>>(self, _tagged: A) -> Result<Node, A::Error> {
        Err(self.0.stop("has a tag (`!…`), which means nothing here; put the text into quotes"))
    }
}

/// A key of a mapping that does not have it yet; the walk goes into it.
struct Key<'w> {
    walk: &'w Walk<'w>,
    seen: &'w HashSet<String>,
}

impl<'de> DeserializeSeed<'de> for Key<'_> {
    type Value = String;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<String, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl Key<'_> {
    fn no_text<E: Error>(self, found: impl fmt::Display) -> E {
        self.walk.stop(format!("has the key {found}, and keys are texts; put it into quotes: `\"{found}\":`"))
    }
}

impl<'de> Visitor<'de> for Key<'_> {
    type Value = String;

    fn expecting(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        formatter.write_str("a text as key")
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<String, E> {
        Err(self.no_text(value))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<String, E> {
        Err(self.no_text(value))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<String, E> {
        Err(self.no_text(value))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<String, E> {
        Err(self.no_text(value))
    }

    fn visit_unit<E: Error>(self) -> Result<String, E> {
        Err(self.no_text("null"))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, _list: A) -> Result<String, A::Error> {
        Err(self.walk.stop("has a list as key; put it into quotes if it is meant, as in `\"[a]\":`"))
    }

    fn visit_map<A: MapAccess<'de>>(self, _mapping: A) -> Result<String, A::Error> {
        Err(self.walk.stop("has a mapping as key; put it into quotes if it is meant, as in `\"{ a }\":`"))
    }

    fn visit_str<E: Error>(self, key: &str) -> Result<String, E> {
        if key.is_empty() || key.len() > LONGEST_KEY || key.contains(char::is_control) {
            let words = "has a key that is empty, too long or holds a control character";
            return Err(self.walk.stop(format!("{words}: {}; keys are short names", quoted(key))));
        }
        self.walk.enter(Step::Key(key.to_owned()));
        self.walk.look()?;
        if self.seen.contains(key) {
            return Err(self.walk.stop("is there twice (duplicate key); put both into one, or take one out"));
        }
        Ok(key.to_owned())
    }
}
