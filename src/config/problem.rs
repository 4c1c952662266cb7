//! What is wrong with a file, and where.

use crate::core::escape;
use std::fmt;

/// The most characters that are shown of what the file holds.
const SHOWN: usize = 60;

/// The most characters of an error: the parsers of values repeat what they found.
const LONGEST: usize = 700;

/// One step to a value: a key of a mapping, or the place in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// A key.
    Key(String),
    /// A place, counted from 0.
    Index(usize),
}

/// The way to a value from the outside in: `freeze[1].from`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Path(Vec<Step>);

impl Path {
    /// Goes a step further.
    pub fn push(&mut self, step: Step) {
        self.0.push(step);
    }

    /// Goes a step back.
    pub fn pop(&mut self) {
        self.0.pop();
    }

    /// The first step alone.
    #[must_use]
    pub fn first(&self) -> Path {
        Path(self.0.first().cloned().into_iter().collect())
    }

    /// The way with one step more.
    #[must_use]
    pub fn then(&self, step: Step) -> Path {
        let mut path = self.clone();
        path.push(step);
        path
    }

    /// The way to a key of this mapping.
    #[must_use]
    pub fn key(&self, key: &str) -> Path {
        self.then(Step::Key(key.to_owned()))
    }
}

impl fmt::Display for Path {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        for (index, step) in self.0.iter().enumerate() {
            match step {
                Step::Key(key) => write!(formatter, "{}{}", if index == 0 { "" } else { "." }, shortened(key, SHOWN))?,
                Step::Index(place) => write!(formatter, "[{place}]")?,
            }
        }
        Ok(())
    }
}

/// What is wrong, where, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Where.
    pub path: Path,
    /// The line, where it is known already.
    pub line: Option<usize>,
    /// The rest.
    pub words: String,
}

impl Problem {
    /// A problem of which the line has yet to be found.
    pub fn at(path: Path, words: impl Into<String>) -> Self {
        Problem { path, line: None, words: words.into() }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        let line = self.line.map(|line| format!("line {line}: ")).unwrap_or_default();
        let path = if self.path == Path::default() { "the file".to_owned() } else { format!("{}:", self.path) };
        let words = format!("{line}{path} {}", self.words);
        formatter.write_str(&shortened(&escape::terminal(&words), LONGEST))
    }
}

/// What the file holds, for an error.
pub fn quoted(text: &str) -> String {
    format!("`{}`", shortened(text, SHOWN))
}

/// At most so many characters: the beginning and the end.
fn shortened(text: &str, most: usize) -> String {
    let characters: Vec<char> = text.chars().collect();
    if characters.len() <= most {
        return text.to_owned();
    }
    let part = |range: &[char]| range.iter().collect::<String>();
    format!("{} … {}", part(&characters[..most / 2]), part(&characters[characters.len() - most / 2..]))
}
