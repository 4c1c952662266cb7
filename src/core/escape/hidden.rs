//! Which characters act without being seen.
//!
//! Most of them always do. Joiners (U+200C, U+200D) and variation selectors are part of ordinary writing, as in Persian,
//! Indic scripts, Japanese names and emoji, and hidden anywhere else: so they count by what stands around them.
//! Sources: Unicode 16, DerivedCoreProperties (`Default_Ignorable_Code_Point`), PropList (`Bidi_Control`),
//! StandardizedVariants, and UTS #51 for emoji.

/// The characters of `text`, each with the verdict whether it acts without being seen.
pub fn marked(text: &str) -> impl Iterator<Item = (char, bool)> {
    let mut characters = text.chars().peekable();
    let mut before = None;
    std::iter::from_fn(move || {
        let character = characters.next()?;
        let hidden = is_hidden(before, character, characters.peek().copied());
        before = (!hidden).then_some(character);
        Some((character, hidden))
    })
}

/// `before` is the character before, if that one is shown as it is.
fn is_hidden(before: Option<char>, character: char, after: Option<char>) -> bool {
    if is_joiner(character) {
        !before.is_some_and(joins) || !after.is_some_and(joins)
    } else if is_selector(character) {
        !before.is_some_and(|base| varies(base, character))
    } else {
        is_always_hidden(character)
    }
}

/// Controls, line separators, direction controls and characters without any mark on the page.
fn is_always_hidden(character: char) -> bool {
    character.is_control()
        || matches!(character,
            '\u{ad}' // soft hyphen
            | '\u{34f}' // combining grapheme joiner
            | '\u{61c}' // Arabic letter mark
            | '\u{115f}'..='\u{1160}' | '\u{3164}' | '\u{ffa0}' // Hangul fillers
            | '\u{17b4}'..='\u{17b5}' // inherent vowels of Khmer
            | '\u{180e}' // Mongolian vowel separator
            | '\u{200b}' // zero width space
            | '\u{200e}'..='\u{200f}' // direction marks
            | '\u{2028}'..='\u{202e}' // separators, direction embeddings and overrides
            | '\u{2060}'..='\u{206f}' // word joiner, invisible operators, direction isolates
            | '\u{feff}' // byte order mark
            | '\u{fff0}'..='\u{fffb}' // interlinear annotation
            | '\u{1bca0}'..='\u{1bca3}' // shorthand format controls
            | '\u{1d173}'..='\u{1d17a}' // musical format controls
            | '\u{e0000}'..='\u{e0fff}' // tags
        )
}

fn is_joiner(character: char) -> bool {
    matches!(character, '\u{200c}' | '\u{200d}')
}

fn is_selector(character: char) -> bool {
    matches!(
        character,
        '\u{180b}'..='\u{180d}' | '\u{180f}' | '\u{fe00}'..='\u{fe0f}' | '\u{e0100}'..='\u{e01ef}'
    )
}

/// Whether a joiner has something to do at this character; between Latin letters it only makes words differ unseen.
fn joins(character: char) -> bool {
    !character.is_ascii() && !character.is_whitespace() && !is_joiner(character) && !is_always_hidden(character)
}

/// Whether this selector has something to choose at this character.
fn varies(base: char, selector: char) -> bool {
    if is_joiner(base) || is_selector(base) || base.is_whitespace() {
        return false;
    }
    match selector {
        '\u{180b}'..='\u{180d}' | '\u{180f}' => matches!(base, '\u{1800}'..='\u{18af}'),
        '\u{fe0e}' | '\u{fe0f}' => !base.is_ascii() || matches!(base, '0'..='9' | '#' | '*'),
        '\u{fe00}'..='\u{fe0d}' => !base.is_ascii(),
        _ => matches!(
            base,
            '\u{3400}'..='\u{9fff}' | '\u{f900}'..='\u{faff}' | '\u{20000}'..='\u{3ffff}'
        ),
    }
}
