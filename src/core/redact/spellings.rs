//! The ways in which one value may stand in a text, besides percent-encoding, which is decoded in the text.

/// The shortest spelling that is looked for, in bytes.
pub(super) const SHORTEST: usize = 8;

/// The shortest line of a value of several lines that is looked for on its own, in characters.
const SHORTEST_LINE: usize = 16;

const BASE64: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// The columns after which `base64` (76) and OpenSSL (64) break lines.
const BASE64_WIDTHS: [usize; 2] = [64, 76];

/// Every spelling of a value, none shorter than `SHORTEST`.
pub(super) fn of(value: &str) -> Vec<String> {
    let in_query = value.replace(' ', "+");
    let mut spellings = vec![
        value.to_owned(),
        value.replace("\r\n", "\n"),
        value.replace("\r\n", "\n").replace('\r', "\n"),
        on_one_line(value),
        json_escaped(value),
        non_ascii_escaped(value, false),
        non_ascii_escaped(value, true),
        non_ascii_escaped(&in_query, false),
        non_ascii_escaped(&in_query, true),
        in_query,
    ];
    spellings.extend(base64_spellings(value.as_bytes()));
    spellings.extend(lines(value));
    spellings.retain(|spelling| spelling.len() >= SHORTEST);
    spellings.sort_unstable();
    spellings.dedup();
    spellings
}

/// The characters of a value's base64 (RFC 4648 § 4) that no neighbour can change, where `shift` bytes (0 to 2) stand before it
/// in its group of three.
pub(super) fn base64_within(value: &[u8], shift: usize) -> String {
    let mut bytes = vec![0; shift];
    bytes.extend_from_slice(value);
    let first_own = (shift * 8).div_ceil(6);
    let whole = bytes.len() * 8 / 6;
    let encoded = base64(&bytes);
    encoded.get(first_own..whole).unwrap_or_default().to_owned()
}

/// As a record's lines have it: control characters become blanks.
fn on_one_line(value: &str) -> String {
    let line: String = value.chars().map(|character| if character.is_control() { ' ' } else { character }).collect();
    line.trim().to_owned()
}

fn base64_spellings(value: &[u8]) -> Vec<String> {
    let padded = base64(value);
    let mut spellings = vec![padded.trim_end_matches('=').to_owned()];
    spellings.extend((0..3).map(|shift| base64_within(value, shift)));
    for width in BASE64_WIDTHS {
        let lines = padded.as_bytes().chunks(width);
        let lines = lines.map(|line| String::from_utf8_lossy(line).into_owned());
        spellings.extend(lines.filter(|line| line.len() >= SHORTEST_LINE));
    }
    spellings.push(padded);
    let for_urls = |spelling: &String| spelling.replace('+', "-").replace('/', "_");
    spellings.extend(spellings.iter().map(for_urls).collect::<Vec<_>>());
    spellings
}

fn base64(bytes: &[u8]) -> String {
    let mut encoded = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let bits = (0..3).fold(0, |bits, index| bits << 8 | usize::from(group.get(index).copied().unwrap_or(0)));
        for index in 0..4 {
            let six = bits >> (18 - 6 * index) & 63;
            let used = index <= group.len();
            encoded.push(if used { char::from(BASE64[six]) } else { '=' });
        }
    }
    encoded
}

/// The inside of a JSON string (RFC 8259 § 7), with the short escapes.
fn json_escaped(value: &str) -> String {
    let mut escaped = String::with_capacity(value.len());
    for character in value.chars() {
        match character {
            '"' => escaped.push_str("\\\""),
            '\\' => escaped.push_str("\\\\"),
            '\n' => escaped.push_str("\\n"),
            '\r' => escaped.push_str("\\r"),
            '\t' => escaped.push_str("\\t"),
            other => escaped.push(other),
        }
    }
    escaped
}

fn non_ascii_escaped(value: &str, lower: bool) -> String {
    let mut escaped = String::with_capacity(value.len());
    for character in value.chars() {
        if character.is_ascii() {
            escaped.push(character);
            continue;
        }
        for byte in character.encode_utf8(&mut [0; 4]).bytes() {
            let escape = if lower { format!("%{byte:02x}") } else { format!("%{byte:02X}") };
            escaped.push_str(&escape);
        }
    }
    escaped
}

/// The lines that tell something, of a value that has several. Line ends may be written out as `\n`.
fn lines(value: &str) -> Vec<String> {
    let lines = value.split('\n').flat_map(|line| line.split("\\n")).map(str::trim);
    let long = |line: &&str| line.chars().count() >= SHORTEST_LINE;
    let armor = |line: &str| line.starts_with("-----");
    lines.filter(long).filter(|line| !armor(line) && !super::shape::is_placeholder(line)).map(str::to_owned).collect()
}
