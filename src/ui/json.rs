//! JSON that is safe to show on a terminal.

use crate::core::escape::marked;

/// Indented JSON (RFC 8259) of the very same value, in which characters that act without being seen are written as
/// `\uXXXX`. No line feed at the end.
pub fn json_pretty(value: &serde_json::Value) -> String {
    harmless(&format!("{value:#}"))
}

/// The same on one line.
pub fn json_line(value: &serde_json::Value) -> String {
    harmless(&value.to_string())
}

fn harmless(json: &str) -> String {
    let mut result = String::with_capacity(json.len());
    for (character, hidden) in marked(json) {
        if !hidden || character == '\n' {
            result.push(character);
            continue;
        }
        // Such a character stands within a string: outside of strings JSON is ASCII.
        for unit in character.encode_utf16(&mut [0; 2]) {
            result.push_str(&format!("\\u{unit:04x}"));
        }
    }
    result
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn hidden_characters_are_written_as_numbers() {
        let cases = [
            ("plain \u{e9} \u{1f600}", "\"plain \u{e9} \u{1f600}\""),
            ("a\u{1b}[31m", r#""a\u001b[31m""#),
            ("a\u{7f}\u{9b}31m", r#""a\u007f\u009b31m""#),
            ("\u{202e}\u{2066}\u{200b}", r#""\u202e\u2066\u200b""#),
            ("\u{e0041}", r#""\udb40\udc41""#),
            ("\u{2028}\u{feff}", r#""\u2028\ufeff""#),
            ("tab\t line\n", r#""tab\t line\n""#),
        ];
        for (text, expected) in cases {
            assert_eq!(json_pretty(&json!(text)), expected, "{text:?}");
        }
    }

    #[test]
    fn it_is_indented_and_keeps_the_order() {
        let value = json!({"z": [1, {"\u{200b}": null}], "a": {}});
        let expected = "{\n  \"z\": [\n    1,\n    {\n      \"\\u200b\": null\n    }\n  ],\n  \"a\": {}\n}";
        assert_eq!(json_pretty(&value), expected);
    }

    proptest! {
        #[test]
        fn it_is_the_same_value_without_hidden_characters(key in any::<String>(), text in any::<String>()) {
            let value = json!({ key: [text] });
            let json = json_pretty(&value);
            let back: Value = serde_json::from_str(&json).unwrap();
            prop_assert_eq!(back, value);
            prop_assert!(!marked(&json).any(|(character, hidden)| hidden && character != '\n'));
        }
    }
}
