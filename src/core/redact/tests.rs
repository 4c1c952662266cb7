//! Every token here is put together at run time, so that no secret scanner trips over the repository.

mod found;
mod left_alone;
mod properties;
mod values;

use super::Redactor;

/// Characters that look drawn by chance from an alphabet, always the same.
fn drawn(alphabet: &str, length: usize) -> String {
    let characters: Vec<char> = alphabet.chars().collect();
    let mut state: usize = 7;
    let mut text = String::new();
    for _ in 0..length {
        state = (state * 1_103_515_245 + 12_345) % 2_147_483_648;
        text.push(characters[(state >> 8) % characters.len()]);
    }
    text
}

fn letters(length: usize) -> String {
    drawn("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789", length)
}

fn capitals(length: usize) -> String {
    drawn("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", length)
}

fn hex(length: usize) -> String {
    drawn("0123456789abcdef", length)
}

/// A personal access token of GitLab.
fn gitlab() -> String {
    ["gl", "pat-", &letters(20)].concat()
}

/// A JSON Web Token.
fn jwt() -> String {
    let part = |length| ["ey", "J", &letters(length)].concat();
    [part(33), part(120), letters(86)].join(".")
}

/// `-----BEGIN … PRIVATE KEY-----` or its end.
fn armor(edge: &str, label: &str) -> String {
    ["-----", edge, " ", label, "PRIVATE", " KEY", "-----"].concat()
}

/// A private key with real line ends and no line end at the end.
fn private_key(label: &str) -> String {
    let body = letters(64 * 3 + 20);
    let lines: Vec<&str> =
        body.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).expect("letters are ASCII")).collect();
    [armor("BEGIN", label), lines.join("\n"), armor("END", label)].join("\n")
}

fn plain() -> Redactor {
    Redactor::new([], &[])
}

fn with(variables: &[(&str, &str)]) -> Redactor {
    let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    Redactor::new(variables.iter().map(owned), &[])
}

fn redacted(text: &str) -> String {
    plain().redact(text).text.into_owned()
}
