//! Percent-encoding (RFC 3986 § 2.1), read just far enough to find secrets in it.
//!
//! Only escapes of ASCII characters are decoded, so that what comes out is text and every place in it has one in the original.
//! Escapes of other bytes stay as they are; `spellings` writes values that way too.

use std::ops::Range;

/// A text with its ASCII escapes decoded.
pub(super) struct Decoded {
    /// What the text says.
    pub(super) text: String,
    /// Where in `text` the decoded characters stand, ascending.
    escapes: Vec<usize>,
}

impl Decoded {
    /// The bytes of the original that a range of `text` was decoded from.
    pub(super) fn original(&self, range: &Range<usize>) -> Range<usize> {
        self.original_offset(range.start)..self.original_offset(range.end)
    }

    fn original_offset(&self, offset: usize) -> usize {
        let escapes_before = self.escapes.partition_point(|escape| *escape < offset);
        offset + 2 * escapes_before
    }
}

/// The decoded text, or nothing where there is no escape to decode.
pub(super) fn decode(text: &str) -> Option<Decoded> {
    let mut decoded = Decoded { text: String::new(), escapes: Vec::new() };
    let mut position = 0;
    for (percent, _) in text.match_indices('%') {
        let Some(character) = escaped(text.as_bytes(), percent) else {
            continue;
        };
        decoded.text.push_str(&text[position..percent]);
        decoded.escapes.push(decoded.text.len());
        decoded.text.push(character);
        position = percent + 3;
    }
    decoded.text.push_str(&text[position..]);
    (!decoded.escapes.is_empty()).then_some(decoded)
}

fn escaped(bytes: &[u8], percent: usize) -> Option<char> {
    let high = char::from(*bytes.get(percent + 1)?).to_digit(16)?;
    let low = char::from(*bytes.get(percent + 2)?).to_digit(16)?;
    let character = char::from_u32(high * 16 + low)?;
    character.is_ascii().then_some(character)
}
