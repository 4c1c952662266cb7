//! The word that somebody may have meant.

/// The one of these words that is most like another, where one is like enough.
pub fn of<'a>(word: &str, words: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let word = word.to_lowercase();
    let is_alike = |known: &&str| strsim::jaro_winkler(&word, &known.to_lowercase()) > 0.8;
    // a word with a longer one beside it may look more like that one, by the letters that they share
    words.into_iter().filter(is_alike).min_by_key(|known| strsim::osa_distance(&word, &known.to_lowercase()))
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_most_alike_word_is_found() {
        let words = ["service", "services", "approval", "approvers", "accept", "environments"];
        for (word, near) in [
            ("aproval", Some("approval")),
            ("Approver", Some("approvers")),
            ("enviroments", Some("environments")),
            ("servise", Some("service")),
            ("servics", Some("service")),
            ("servicess", Some("services")),
            ("xyz", None),
        ] {
            assert_eq!(super::of(word, words), near, "{word}");
        }
    }
}
