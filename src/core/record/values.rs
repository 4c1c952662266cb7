//! The values that fields hold: names, texts, times, digests, ids, links.
//!
//! Each has two ways in: a strict one for bytes that were signed (`FieldType::read`), and one for what people and machines hand
//! us (`new`, `clean`), which mends what may be mended and says so.

use super::json::{Json, LARGEST_INTEGER};
use super::shape::{FieldError, FieldType, expected};
use chrono::{DateTime, Datelike, NaiveDate, SubsecRound, Timelike, Utc};
use serde::{Serialize, Serializer};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

/// The most that one free text may hold, in bytes.
pub const LONGEST_TEXT: usize = 64 * 1024;

/// The first second of year 0 and the last of year 9999, in seconds after 1970.
const EARLIEST: i64 = -62_167_219_200;
const LATEST: i64 = 253_402_300_799;

fn string(value: Json) -> Result<Cow<str>, FieldError> {
    match value {
        Json::String(text) => Ok(text),
        other => Err(expected("a string", &other)),
    }
}

impl FieldType for bool {
    fn read(value: Json) -> Result<Self, FieldError> {
        match value {
            Json::Bool(value) => Ok(value),
            other => Err(expected("a boolean", &other)),
        }
    }

    fn schema() -> Value {
        json!({ "type": "boolean" })
    }
}

impl FieldType for u64 {
    fn read(value: Json) -> Result<Self, FieldError> {
        match value {
            Json::Number(number) => Ok(number),
            other => Err(expected("an integer from 0 to 2^53-1", &other)),
        }
    }

    fn schema() -> Value {
        json!({ "type": "integer", "minimum": 0, "maximum": LARGEST_INTEGER })
    }
}

/// Declares a string type with a check: the one place for its rule, reader, writer and schema.
macro_rules! checked_string {
    ($(#[doc = $about:literal])+ $name:ident, $check:expr, $schema:expr) => {
        $(#[doc = $about])+
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(String);

        impl $name {
            /// Takes the text as it is.
            ///
            /// # Errors
            /// Says what is wrong with it.
            pub fn new(text: impl Into<String>) -> Result<Self, String> {
                let text = text.into();
                let check: fn(&str) -> Result<(), String> = $check;
                check(&text).map(|()| $name(text))
            }

            /// The text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
                formatter.pad(&self.0)
            }
        }

        impl FromStr for $name {
            type Err = String;

            fn from_str(text: &str) -> Result<Self, String> {
                $name::new(text)
            }
        }

        impl FieldType for $name {
            fn read(value: Json) -> Result<Self, FieldError> {
                $name::new(string(value)?).map_err(FieldError::new)
            }

            fn schema() -> Value {
                let mut schema = $schema;
                schema["title"] = json!(stringify!($name));
                schema
            }

            fn visit_texts(&mut self, visit: &mut dyn FnMut(&mut String)) {
                Self::visit_own(self, visit);
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }
    };
}

checked_string! {
    /// A service, environment, login or principal: 1 to 255 of `A-Z a-z 0-9 . _ : / -` and inner spaces. Two names are equal
    /// when their bytes are.
    Name, check_name, json!({ "type": "string", "maxLength": 255, "pattern": "^[A-Za-z0-9._:/-]([A-Za-z0-9._:/ -]*[A-Za-z0-9._:/-])?$" })
}
checked_string! {
    /// Free text of one or more lines, redacted, line ends as `\n`, 1 byte to 64 KiB.
    Text, |text| check_text(text, false), json!({ "type": "string", "minLength": 1, "maxLength": LONGEST_TEXT, "pattern": "^[^\\r]*$" })
}
checked_string! {
    /// Free text of a single line, redacted, 1 byte to 64 KiB, without control characters.
    Line, |text| check_text(text, true), json!({ "type": "string", "minLength": 1, "maxLength": LONGEST_TEXT, "pattern": "^[^\\u0000-\\u001f\\u007f]*$" })
}
checked_string! {
    /// An `http` or `https` address without user name or password.
    Link, check_link, json!({ "type": "string", "maxLength": 2048, "pattern": "^https?://[^@/?#\\u0000-\\u0020\\u007f-\\u009f\"<>\\\\^`{|}]+([/?#][^\\u0000-\\u0020\\u007f-\\u009f\"<>\\\\^`{|}]*)?$" })
}
checked_string! {
    /// A git object id: 40 (SHA-1) or 64 (SHA-256) lower-case hexadecimal digits.
    CommitId, |text| check_hex(text, &[40, 64]), json!({ "type": "string", "pattern": "^([0-9a-f]{40}|[0-9a-f]{64})$" })
}
checked_string! {
    /// 128 random bits as 32 lower-case hexadecimal digits.
    Id, |text| check_hex(text, &[32]), json!({ "type": "string", "pattern": "^[0-9a-f]{32}$" })
}
checked_string! {
    /// Bytes in base64 (RFC 4648 § 4, padded).
    Base64, check_base64, json!({ "type": "string", "contentEncoding": "base64" })
}

impl Name {
    /// Whether it is a login that GitLab gives to no person: project and group access tokens act as `project_1_bot_…` and
    /// `group_1_bot_…`, service accounts by default as `service_account_…` (docs.gitlab.com, "Bot users for projects" and "Service
    /// accounts").
    pub fn is_bot_login(&self) -> bool {
        let login = self.as_str();
        let rest = login.strip_prefix("project_").or_else(|| login.strip_prefix("group_"));
        let is_number = |number: &str| number.parse::<u64>().is_ok();
        let is_token = rest.and_then(|rest| rest.split_once('_')).is_some_and(|(number, rest)| {
            is_number(number)
                && rest.strip_prefix("bot").is_some_and(|end| end.is_empty() || end.starts_with('_') || is_number(end))
        });
        is_token || login.starts_with("service_account_")
    }

    fn visit_own(&mut self, _visit: &mut dyn FnMut(&mut String)) {}
}

impl Text {
    /// Makes a text of whatever came in: line ends become `\n`, blank ends go. `None` where nothing is left. What is over 64 KiB
    /// is cut, with a visible mark, once its secrets were taken out (`visit_texts`): half a secret is not found any more.
    pub fn clean(text: &str) -> Option<Self> {
        let text = text.replace("\r\n", "\n").replace('\r', "\n");
        let text = text.trim();
        (!text.is_empty()).then(|| Text(text.to_owned()))
    }

    /// The first line.
    pub fn first_line(&self) -> &str {
        self.0.lines().next().unwrap_or_default()
    }

    fn visit_own(&mut self, visit: &mut dyn FnMut(&mut String)) {
        visit(&mut self.0);
        self.0 = cut(&self.0);
    }
}

impl Line {
    /// Makes one line of whatever came in: control characters and line ends become spaces, blank ends go. `None` where nothing is
    /// left. It is cut as [`Text::clean`] says.
    pub fn clean(text: &str) -> Option<Self> {
        let text: String = text.chars().map(|character| if character.is_control() { ' ' } else { character }).collect();
        let text = text.trim();
        (!text.is_empty()).then(|| Line(text.to_owned()))
    }

    fn visit_own(&mut self, visit: &mut dyn FnMut(&mut String)) {
        visit(&mut self.0);
        self.0 = cut(&self.0);
    }
}

impl Link {
    fn visit_own(&mut self, visit: &mut dyn FnMut(&mut String)) {
        visit(&mut self.0);
    }
}

impl CommitId {
    /// The first eight digits, as GitLab shows a commit.
    pub fn short(&self) -> &str {
        &self.0[..8]
    }

    fn visit_own(&mut self, _visit: &mut dyn FnMut(&mut String)) {}
}

impl Id {
    /// The id of these random bits.
    pub fn from_bits(bits: [u8; 16]) -> Self {
        Id(hex(&bits))
    }

    fn visit_own(&mut self, _visit: &mut dyn FnMut(&mut String)) {}
}

impl Base64 {
    fn visit_own(&mut self, _visit: &mut dyn FnMut(&mut String)) {}
}

fn check_name(text: &str) -> Result<(), String> {
    let allowed = |character: char| character.is_ascii_alphanumeric() || "._:/- ".contains(character);
    if text.is_empty() {
        return Err("is empty".to_owned());
    }
    if let Some(other) = text.chars().find(|&character| !allowed(character)) {
        return Err(format!("holds `{}`; a name has letters, digits, `. _ : / -` and inner spaces", other.escape_debug()));
    }
    if text.len() > 255 {
        return Err(format!("is {} characters long; a name has at most 255", text.len()));
    }
    if text.starts_with(' ') || text.ends_with(' ') {
        return Err("begins or ends with a space".to_owned());
    }
    Ok(())
}

fn check_text(text: &str, one_line: bool) -> Result<(), String> {
    if text.is_empty() {
        return Err("is empty; an absent text is left out".to_owned());
    }
    if text.len() > LONGEST_TEXT {
        return Err(format!("is {} bytes long; a text has at most {LONGEST_TEXT}", text.len()));
    }
    if one_line && text.chars().any(|character| character < ' ' || character == '\u{7f}') {
        return Err("holds a control character or line end; it must be one line".to_owned());
    }
    if text.contains('\r') {
        return Err("holds a carriage return; lines end with \\n".to_owned());
    }
    Ok(())
}

fn check_link(text: &str) -> Result<(), String> {
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://")).ok_or("is no http or https address")?;
    let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
    if host.is_empty() {
        return Err("has no host".to_owned());
    }
    if host.contains('@') {
        return Err("holds a user name or password".to_owned());
    }
    if text.chars().any(|character| character.is_whitespace() || character.is_control() || "\"<>\\^`{|}".contains(character)) {
        return Err("holds a character that no address has".to_owned());
    }
    if text.len() > 2048 {
        return Err("is longer than 2048 characters".to_owned());
    }
    Ok(())
}

fn check_hex(text: &str, lengths: &[usize]) -> Result<(), String> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte));
    if digits && lengths.contains(&text.len()) {
        return Ok(());
    }
    let lengths: Vec<_> = lengths.iter().map(usize::to_string).collect();
    Err(format!("expected {} lower-case hexadecimal digits", lengths.join(" or ")))
}

fn check_base64(text: &str) -> Result<(), String> {
    use base64::Engine as _;
    let decoded = base64::engine::general_purpose::STANDARD.decode(text);
    decoded.map(|_| ()).map_err(|error| format!("is no base64: {error}"))
}

/// Cuts a text to [`LONGEST_TEXT`], at a character's boundary, with a mark that says so.
fn cut(text: &str) -> String {
    if text.len() <= LONGEST_TEXT {
        return text.to_owned();
    }
    let mark = format!(" [cut here, {} bytes in all]", text.len());
    let end = text.floor_char_boundary(LONGEST_TEXT - mark.len());
    format!("{}{mark}", &text[..end])
}

/// A moment, in UTC and whole seconds: `2026-11-20T14:05:11Z` (RFC 3339).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Time(DateTime<Utc>);

impl Time {
    /// The moment, cut to whole seconds, and to the years that the format has: 0 to 9999.
    pub fn new(at: DateTime<Utc>) -> Self {
        let edge = |seconds| DateTime::from_timestamp(seconds, 0).unwrap_or_default();
        Time(at.trunc_subsecs(0).clamp(edge(EARLIEST), edge(LATEST)))
    }

    /// The moment so many seconds after 1970; `None` outside of the years that the format has.
    pub fn from_timestamp(seconds: i64) -> Option<Self> {
        (EARLIEST..=LATEST).contains(&seconds).then(|| DateTime::from_timestamp(seconds, 0)).flatten().map(Time)
    }

    /// The moment, as chrono has it.
    pub fn utc(self) -> DateTime<Utc> {
        self.0
    }
}

/// The one form of a time; each `0` is a digit.
const TIME_FORM: &[u8; 20] = b"0000-00-00T00:00:00Z";

impl Time {
    fn text(self) -> Ascii<20> {
        let mut text = *TIME_FORM;
        let mut put = |place: std::ops::Range<usize>, mut number: u32| {
            for digit in text[place].iter_mut().rev() {
                *digit += u8::try_from(number % 10).unwrap_or_default();
                number /= 10;
            }
        };
        put(0..4, self.0.year().unsigned_abs());
        put(5..7, self.0.month());
        put(8..10, self.0.day());
        put(11..13, self.0.hour());
        put(14..16, self.0.minute());
        put(17..19, self.0.second());
        Ascii(text)
    }

    fn from_text(text: &str) -> Option<Self> {
        let text: &[u8; 20] = text.as_bytes().try_into().ok()?;
        let fits = |(&byte, &form): (&u8, &u8)| if form == b'0' { byte.is_ascii_digit() } else { byte == form };
        if !text.iter().zip(TIME_FORM).all(fits) {
            return None;
        }
        let number =
            |place: std::ops::Range<usize>| text[place].iter().fold(0, |sum, digit| sum * 10 + u32::from(digit - b'0'));
        let date = NaiveDate::from_ymd_opt(i32::try_from(number(0..4)).ok()?, number(5..7), number(8..10))?;
        Some(Time(date.and_hms_opt(number(11..13), number(14..16), number(17..19))?.and_utc()))
    }
}

impl fmt::Display for Time {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        formatter.pad(self.text().as_str())
    }
}

impl FromStr for Time {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("expected a time like 2026-11-20T14:05:11Z, found `{}`", text.escape_debug());
        Time::from_text(text).ok_or_else(wrong)
    }
}

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.text().as_str())
    }
}

impl FieldType for Time {
    fn read(value: Json) -> Result<Self, FieldError> {
        string(value)?.parse().map_err(FieldError::new)
    }

    fn schema() -> Value {
        json!({ "title": "Time", "type": "string", "format": "date-time", "pattern": "^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z$" })
    }
}

/// A SHA-256 digest: `sha256:` and 64 lower-case hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest([u8; 32]);

impl Digest {
    /// What stands for "no record" in `prev` of record 1.
    pub const ZERO: Digest = Digest([0; 32]);

    /// The digest of these bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Digest(Sha256::digest(bytes).into())
    }
}

const DIGEST_PREFIX: &str = "sha256:";

impl Digest {
    fn text(&self) -> Ascii<71> {
        let mut text = [0; 71];
        let (prefix, digits) = text.split_at_mut(DIGEST_PREFIX.len());
        prefix.copy_from_slice(DIGEST_PREFIX.as_bytes());
        put_hex(&self.0, digits);
        Ascii(text)
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        formatter.write_str(self.text().as_str())
    }
}

impl Serialize for Digest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.text().as_str())
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        write!(formatter, "{self}")
    }
}

impl FromStr for Digest {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("expected `sha256:` and 64 lower-case hexadecimal digits, found `{}`", text.escape_debug());
        let digits = text.strip_prefix(DIGEST_PREFIX).ok_or_else(wrong)?;
        check_hex(digits, &[64]).map_err(|_| wrong())?;
        let value = |digit: u8| if digit.is_ascii_digit() { digit - b'0' } else { digit - b'a' + 10 };
        let mut bytes = [0; 32];
        for (byte, pair) in bytes.iter_mut().zip(digits.as_bytes().chunks_exact(2)) {
            *byte = value(pair[0]) << 4 | value(pair[1]);
        }
        Ok(Digest(bytes))
    }
}

impl FieldType for Digest {
    fn read(value: Json) -> Result<Self, FieldError> {
        string(value)?.parse().map_err(FieldError::new)
    }

    fn schema() -> Value {
        json!({ "title": "Digest", "type": "string", "pattern": "^sha256:[0-9a-f]{64}$" })
    }
}

/// Bytes as lower-case hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    let mut digits = vec![0; bytes.len() * 2];
    put_hex(bytes, &mut digits);
    String::from_utf8(digits).unwrap_or_else(|error| unreachable!("only ASCII is put in: {error}"))
}

fn put_hex(bytes: &[u8], digits: &mut [u8]) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    for (byte, pair) in bytes.iter().zip(digits.chunks_exact_mut(2)) {
        pair[0] = DIGITS[usize::from(byte >> 4)];
        pair[1] = DIGITS[usize::from(byte & 15)];
    }
}

/// A short text that was made without a place in memory of its own: logs have millions of them.
struct Ascii<const LENGTH: usize>([u8; LENGTH]);

impl<const LENGTH: usize> Ascii<LENGTH> {
    fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_else(|error| unreachable!("only ASCII is put in: {error}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        for good in ["a", "production", "review/fix 1", "ci:main", "A.b_c:d/e-f", &"x".repeat(255)] {
            assert!(Name::new(good).is_ok(), "{good}");
        }
        for bad in ["", " a", "a ", "ä", "a\nb", "a\tb", "a;b", "$(x)", "a@b", &"x".repeat(256)] {
            assert!(Name::new(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn texts_are_mended_on_the_way_in_and_strict_when_read() {
        assert_eq!(Text::clean("  a\r\nb\rc \n").map(|text| text.to_string()), Some("a\nb\nc".to_owned()));
        assert_eq!(Text::clean(" \r\n "), None);
        assert_eq!(Line::clean("a\nRecord: 7\tx").map(|line| line.to_string()), Some("a Record: 7 x".to_owned()));
        assert!(Text::new("a\rb").is_err());
        assert!(Text::new("").is_err());
        assert!(Line::new("a\nb").is_err());
        assert!(Line::new("a\u{7f}").is_err());
    }

    #[test]
    fn a_long_text_is_cut_at_a_character_with_a_mark() {
        let mut text = Text::clean(&"ü".repeat(5_000_000)).expect("not empty");
        text.visit_texts(&mut |_| {});
        assert!(text.as_str().len() <= LONGEST_TEXT);
        assert!(text.as_str().ends_with("ü [cut here, 10000000 bytes in all]"), "{}", &text.as_str()[LONGEST_TEXT - 60..]);
        assert!(Text::new(text.as_str()).is_ok());
        assert!(Text::new("x".repeat(LONGEST_TEXT)).is_ok());
        assert!(Text::new("x".repeat(LONGEST_TEXT + 1)).is_err());
    }

    #[test]
    fn links_carry_no_password_and_no_script() {
        assert!(Link::new("https://gitlab.example/grp/app/-/jobs/1?a=b#c@d").is_ok());
        for bad in [
            "javascript:alert(1)",
            "https://",
            "https://u:p@h/",
            "https://h/a b",
            "https://h/\"x",
            "ftp://h",
            "https://h/\u{7f}",
        ] {
            assert!(Link::new(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn times_have_one_spelling() {
        let time: Time = "2026-11-20T14:05:11Z".parse().expect("time");
        assert_eq!(time.to_string(), "2026-11-20T14:05:11Z");
        let others = [
            "2026-11-20T14:05:11.0Z",
            "2026-11-20T14:05:11+00:00",
            "2026-11-20 14:05:11Z",
            "2026-1-20T14:05:11Z",
            "2026-11-20T14:05:60Z",
            "2026-02-30T00:00:00Z",
            "+12026-01-01T00:00:00Z",
            "-0001-01-01T00:00:00Z",
            "",
        ];
        for other in others {
            assert!(other.parse::<Time>().is_err(), "{other}");
        }
        for (seconds, year) in [(EARLIEST, "0000-01-01T00:00:00Z"), (LATEST, "9999-12-31T23:59:59Z")] {
            assert_eq!(Time::from_timestamp(seconds).map(|time| time.to_string()).as_deref(), Some(year));
            assert!(year.parse::<Time>().is_ok());
        }
        assert_eq!((Time::from_timestamp(EARLIEST - 1), Time::from_timestamp(LATEST + 1)), (None, None));
        assert_eq!(Time::new(DateTime::<Utc>::MAX_UTC).to_string(), "9999-12-31T23:59:59Z");
    }

    #[test]
    fn digests() {
        let digest = Digest::of(b"abc");
        assert_eq!(digest.to_string(), "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        assert_eq!(digest.to_string().parse(), Ok(digest));
        assert!(digest.to_string().to_uppercase().parse::<Digest>().is_err());
        assert!("sha256:00".parse::<Digest>().is_err());
    }
}
