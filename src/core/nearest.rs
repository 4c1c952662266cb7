//! The word that somebody may have meant.

/// The one of these words that is most like another, where one is like enough.
pub fn of<'a>(word: &str, words: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let likeness = |known: &str| strsim::jaro_winkler(&word.to_lowercase(), &known.to_lowercase());
    let scored = words.into_iter().map(|known| (likeness(known), known)).filter(|(score, _)| *score > 0.8);
    scored.max_by(|one, other| one.0.total_cmp(&other.0)).map(|(_, known)| known)
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_most_alike_word_is_found() {
        let words = ["approval", "approvers", "accept", "environments"];
        for (word, near) in [
            ("aproval", Some("approval")),
            ("Approver", Some("approvers")),
            ("enviroments", Some("environments")),
            ("xyz", None),
        ] {
            assert_eq!(super::of(word, words), near, "{word}");
        }
    }
}
