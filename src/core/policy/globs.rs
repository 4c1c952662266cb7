//! Patterns for paths, as gitignore(5) has them, and for branches.

use globset::{GlobBuilder, GlobMatcher};
use std::fmt;
use std::str::FromStr;

/// Patterns of which the last one that matches a path decides: one that begins with `!` takes paths out again.
#[derive(Debug, Clone, Default)]
pub struct Globs(Vec<Glob>);

#[derive(Debug, Clone)]
struct Glob {
    takes_out: bool,
    /// The path itself; of a pattern that ends with `/` only what lies below.
    path: Option<GlobMatcher>,
    below: GlobMatcher,
}

impl Globs {
    /// Adds a pattern after the others.
    ///
    /// # Errors
    /// Says what is wrong with it, and what to write instead.
    pub fn add(&mut self, pattern: &str) -> Result<(), String> {
        let glob = Glob::parse(pattern)?;
        if glob.takes_out && self.0.is_empty() {
            return Err(format!("`{pattern}` comes first and takes out what no pattern before it has put in"));
        }
        self.0.push(glob);
        Ok(())
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether this path, relative to the repository and with `/` between its parts, is one of them.
    pub fn has(&self, path: &str) -> bool {
        self.0.iter().rev().find(|glob| glob.matches(path)).is_some_and(|glob| !glob.takes_out)
    }
}

impl Glob {
    fn parse(text: &str) -> Result<Self, String> {
        let (takes_out, pattern) = match text.strip_prefix('!') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        if pattern.trim_matches('/').is_empty() {
            return Err(format!("`{text}` names no path; `**` names all"));
        }
        if pattern.starts_with("./") || pattern.split('/').any(|part| part == "..") {
            return Err(format!("`{text}`: paths begin at the repository's top, without `./` and `..`"));
        }
        if has_braces(pattern) {
            return Err(format!(
                "`{text}`: braces stand for themselves in such patterns; write one pattern for each, or `\\{{`"
            ));
        }
        let (pattern, only_below) = match pattern.strip_suffix('/') {
            Some(folder) => (folder, true),
            None => (pattern, false),
        };
        // one with a slash in it counts from the top, another one in every folder
        let anchored = match pattern.strip_prefix('/') {
            Some(rest) => rest.to_owned(),
            None if pattern.contains('/') => pattern.to_owned(),
            None => format!("**/{pattern}"),
        };
        let path = if only_below { None } else { Some(matcher(&anchored, text)?) };
        Ok(Glob { takes_out, path, below: matcher(&format!("{anchored}/**"), text)? })
    }

    fn matches(&self, path: &str) -> bool {
        self.path.as_ref().is_some_and(|glob| glob.is_match(path)) || self.below.is_match(path)
    }
}

fn has_braces(pattern: &str) -> bool {
    let mut is_escaped = false;
    pattern.chars().any(|character| {
        let is_brace = matches!(character, '{' | '}') && !is_escaped;
        is_escaped = character == '\\' && !is_escaped;
        is_brace
    })
}

fn matcher(pattern: &str, text: &str) -> Result<GlobMatcher, String> {
    let glob = GlobBuilder::new(pattern).literal_separator(true).backslash_escape(true).build();
    glob.map(|glob| glob.compile_matcher()).map_err(|error| format!("`{text}` is no pattern: {}", error.kind()))
}

/// A pattern for branches: `*` stands for any characters, slashes too; capitals don't matter.
#[derive(Debug, Clone)]
pub struct BranchPattern(GlobMatcher);

impl BranchPattern {
    /// Whether this branch is such a one.
    pub fn is_match(&self, branch: &str) -> bool {
        self.0.is_match(branch)
    }
}

impl fmt::Display for BranchPattern {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        formatter.pad(self.0.glob().glob())
    }
}

impl FromStr for BranchPattern {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.is_empty() || has_braces(text) {
            return Err(format!("`{text}` is no pattern for branches, such as `hotfix/*`"));
        }
        let glob = GlobBuilder::new(text).literal_separator(false).case_insensitive(true).backslash_escape(true).build();
        glob.map(|glob| BranchPattern(glob.compile_matcher()))
            .map_err(|error| format!("`{text}` is no pattern: {}", error.kind()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn globs(patterns: &[&str]) -> Globs {
        let mut globs = Globs::default();
        patterns.iter().for_each(|pattern| globs.add(pattern).expect(pattern));
        globs
    }

    #[test]
    fn a_pattern_matches_as_in_gitignore() {
        let cases: &[(&str, &[&str], &[&str])] = &[
            (
                "src/billing/**",
                &["src/billing/a.rs", "src/billing/deep/a.rs"],
                &["src/billing", "lib/src/billing/a.rs", "src/billing2/a"],
            ),
            ("src/billing", &["src/billing", "src/billing/deep/a.rs"], &["x/src/billing", "src/billing.rs"]),
            ("src/billing/", &["src/billing/a.rs"], &["src/billing"]),
            ("/src", &["src/a", "src"], &["lib/src/a"]),
            ("*.sql", &["a.sql", "db/deep/a.sql", "x.sql/inner"], &["a.sqlx"]),
            ("**/authz/**", &["authz/a", "x/authz/a", "x/y/authz/z/a"], &["authz", "xauthz/a"]),
            ("migrations", &["migrations/1.sql", "db/migrations/1.sql", "migrations"], &["migrations2/1.sql"]),
            ("a/**/b", &["a/b", "a/x/b", "a/x/y/b/c"], &["ab", "a/bb"]),
            ("a/*/c", &["a/b/c", "a/b/c/d"], &["a/c", "a/b/b/c"]),
            ("file?.txt", &["file1.txt", "d/fileA.txt"], &["file.txt", "file12.txt"]),
            ("[Mm]akefile", &["makefile", "x/Makefile"], &["amakefile"]),
            ("**", &["a", "a/b"], &[]),
            ("\\!odd", &["!odd"], &["odd"]),
            ("a b/c", &["a b/c"], &["a/c"]),
            ("src/ärger/*", &["src/ärger/a"], &["src/arger/a"]),
            ("SRC/a", &["SRC/a"], &["src/a"]),
        ];
        for (pattern, matching, others) in cases {
            let globs = globs(&[pattern]);
            matching.iter().for_each(|path| assert!(globs.has(path), "{pattern} should match {path}"));
            others.iter().for_each(|path| assert!(!globs.has(path), "{pattern} should not match {path}"));
        }
    }

    #[test]
    fn the_last_pattern_that_matches_decides() {
        let globs = globs(&["src/billing/**", "!*.md", "src/billing/PRICES.md"]);
        assert!(globs.has("src/billing/tax.rs"));
        assert!(!globs.has("src/billing/README.md"));
        assert!(globs.has("src/billing/PRICES.md"));
        assert!(!globs.has("src/web/a.rs"));
    }

    #[test]
    fn what_can_never_match_is_refused() {
        for (pattern, because) in [
            ("", "names no path"),
            ("/", "names no path"),
            ("!*.md", "comes first"),
            ("./src", "without `./`"),
            ("src/../lib", "without `./`"),
            ("src/{a,b}", "write one pattern for each"),
            ("src/[a", "is no pattern"),
        ] {
            let problem = Globs::default().add(pattern).expect_err(pattern);
            assert!(problem.contains(because), "{pattern}: {problem}");
        }
        assert!(Globs::default().add("odd\\{name").is_ok());
    }

    #[test]
    fn a_branch_pattern_goes_over_slashes() {
        let pattern: BranchPattern = "hotfix/*".parse().expect("pattern");
        assert!(pattern.is_match("hotfix/pay") && pattern.is_match("hotfix/2026/pay") && pattern.is_match("Hotfix/pay"));
        assert!(!pattern.is_match("hotfix") && !pattern.is_match("my-hotfix/pay"));
        assert_eq!(pattern.to_string(), "hotfix/*");
        assert!("".parse::<BranchPattern>().is_err());
    }
}
