//! What secrets look like, and what only stands in for one.

/// As many bytes as tell; so that a long text costs no more than a short one.
const TELLING: usize = 32;

/// Whether a text looks made by chance: at least 5 different characters, and a digit or letters of both cases.
///
/// Of 20 characters drawn from base64's alphabet fewer than one in a million fails this; words and placeholders mostly do.
pub(super) fn is_random(text: &str) -> bool {
    let telling = &text.as_bytes()[..text.len().min(TELLING)];
    let upper = telling.iter().any(u8::is_ascii_uppercase);
    let lower = telling.iter().any(u8::is_ascii_lowercase);
    let digit = telling.iter().any(u8::is_ascii_digit);
    different(telling) >= 5 && (digit || upper && lower)
}

/// Whether a text stands in for a secret: `$NAME`, `${…}`, `$(…)`, `{{…}}`, `%NAME%`, `[MASKED]` (GitLab's job logs), `****`.
pub(super) fn is_placeholder(text: &str) -> bool {
    let name = |name: &str| {
        !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_')
    };
    let between = |start: &str, end: &str| text.strip_prefix(start).and_then(|rest| rest.strip_suffix(end));
    between("$", "").is_some_and(name)
        || between("%", "%").is_some_and(name)
        || between("[", "]").is_some_and(name)
        || between("${", "}").is_some()
        || between("$(", ")").is_some()
        || between("{{", "}}").is_some()
        || text.bytes().all(|byte| b"*xX.-_#".contains(&byte))
        || text.len() >= 8 && different(&text.as_bytes()[..text.len().min(TELLING)]) < 3
}

/// Whether a part of a path or URL may itself be a secret: long, and of a mixture that names don't have.
pub(super) fn is_secret_segment(segment: &str) -> bool {
    let upper = segment.bytes().any(|byte| byte.is_ascii_uppercase());
    let lower = segment.bytes().any(|byte| byte.is_ascii_lowercase());
    let digit = segment.bytes().any(|byte| byte.is_ascii_digit());
    let unbroken = segment.bytes().all(|byte| byte.is_ascii_alphanumeric());
    segment.len() >= 10 && upper && lower && digit || segment.len() >= 24 && unbroken && digit && (upper || lower)
}

fn different(bytes: &[u8]) -> u32 {
    let seen = bytes.iter().fold(0_u128, |seen, byte| seen | 1 << (byte & 127));
    seen.count_ones()
}
