//! The person's own git, asked for a user name and password as git asks itself: through its credential helpers
//! (gitcredentials(7)), and on the terminal where there is one.

use super::smart_http::Credentials;
use super::ssh::percent_decoded;
use crate::child;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;
use zeroize::Zeroizing;

/// How long a helper may take to keep or forget something.
const LONGEST_NOTE: Duration = Duration::from_secs(5);
/// How long a person may take.
const LONGEST_PROMPT: Duration = Duration::from_secs(120);
/// The most that an answer may hold, in bytes.
const LARGEST_ANSWER: usize = 64 * 1024;

/// Git's credential helpers, as they are set up here.
#[derive(Debug, Clone)]
pub struct CredentialHelper {
    directory: PathBuf,
    user: Option<String>,
    has_terminal: bool,
    hidden: &'static [&'static str],
}

impl CredentialHelper {
    /// The helpers that count in this folder, for this user if that is known. Without a terminal git does not ask there.
    /// `hidden` are the variables of the environment that they do not get.
    pub fn new(directory: PathBuf, user: Option<String>, has_terminal: bool, hidden: &'static [&'static str]) -> Self {
        CredentialHelper { directory, user, has_terminal, hidden }
    }

    /// How long may be waited for an answer where only so much time is left: as long as a person needs, if one is asked.
    pub(super) fn patience(&self, left: Duration) -> Duration {
        if self.has_terminal { LONGEST_PROMPT } else { left }
    }

    /// Asks for credentials for this address; `None` where nobody has any.
    pub(super) fn fill(&self, url: &str, limit: Duration) -> Option<Credentials> {
        let question = self.question(url, None)?;
        let answer = self.git("fill", &question, limit)?;
        let text = std::str::from_utf8(&answer).ok()?;
        let field = |name: &str| text.lines().filter_map(|line| line.split_once('=')).rfind(|(key, _)| *key == name);
        let (user, password) = (field("username")?.1, field("password")?.1);
        Some(Credentials::new(user, password))
    }

    /// Tells the helpers that these were right, or wrong: they keep or forget them.
    pub(super) fn note(&self, url: &str, credentials: &Credentials, are_right: bool) {
        if let Some(note) = self.question(url, Some(credentials)) {
            self.git(if are_right { "approve" } else { "reject" }, &note, LONGEST_NOTE);
        }
    }

    /// `None` where a value holds what the protocol can't carry.
    fn question(&self, url: &str, credentials: Option<&Credentials>) -> Option<Zeroizing<String>> {
        let url = url::Url::parse(url).ok()?;
        let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
        let host = format!("{}{port}", url.host_str()?);
        let path = percent_decoded(url.path().trim_matches('/'))?;
        let user = credentials.map(Credentials::user).or(self.user.as_deref());
        let fields = [
            ("protocol", Some(url.scheme())),
            ("host", Some(host.as_str())),
            ("path", Some(path.as_str())),
            ("username", user),
            ("password", credentials.map(Credentials::token)),
        ];
        let mut text = Zeroizing::new(String::new());
        for (name, value) in fields {
            let Some(value) = value else { continue };
            if value.contains(['\n', '\r', '\0']) {
                return None;
            }
            for part in [name, "=", value, "\n"] {
                text.push_str(part);
            }
        }
        Some(text)
    }

    fn git(&self, action: &str, input: &str, limit: Duration) -> Option<Zeroizing<Vec<u8>>> {
        let mut command = Command::new("git");
        command.arg("-C").arg(&self.directory).args(["credential", action]);
        if !self.has_terminal {
            command.env("GIT_TERMINAL_PROMPT", "0");
        }
        for name in self.hidden {
            command.env_remove(name);
        }
        // without git, or without an answer, there are no credentials: the server's refusal says so
        let output = child::run(&mut command, input.as_bytes(), LARGEST_ANSWER, limit).ok()?;
        output.is_success.then_some(output.stdout)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn question(url: &str, user: &str) -> Option<String> {
        let helper = CredentialHelper::new(PathBuf::from("."), Some(user.to_owned()), false, &[]);
        helper.question(url, None).map(|text| text.to_string())
    }

    #[test]
    fn the_question_names_the_host_and_the_path() {
        let asked = question("https://gitlab.example:8443/grp/my%20app.git", "ann");
        let expected = "protocol=https\nhost=gitlab.example:8443\npath=grp/my app.git\nusername=ann\n";
        assert_eq!(asked.as_deref(), Some(expected));
    }

    #[test]
    fn no_value_brings_a_line_of_its_own() {
        assert_eq!(question("https://gitlab.example/a%0ahost=evil.example", "ann"), None);
        assert_eq!(question("https://gitlab.example/a", "ann\nhost=evil.example"), None);
    }
}
