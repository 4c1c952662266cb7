//! Where a repository behind SSH is, and the command that reaches it: as git has them.

use std::fmt;
use std::process::{Command, Stdio};

/// Why an SSH address can't be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` can't be used as an SSH address: {problem}")]
pub struct AddressError {
    text: String,
    problem: &'static str,
}

/// A repository behind SSH: `ssh://git@host:2222/grp/app.git`, or `git@host:grp/app.git` as scp writes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SshAddress {
    user: Option<String>,
    host: String,
    port: Option<u16>,
    path: String,
    text: String,
}

/// Whether git would take a text for an SSH address: one of its schemes, or a colon before any slash.
pub fn is_ssh(text: &str) -> bool {
    match text.split_once("://") {
        Some((scheme, _)) => ["ssh", "git+ssh", "ssh+git"].contains(&scheme),
        None => text.split_once(':').is_some_and(|(host, _)| !host.is_empty() && !host.contains('/')),
    }
}

impl SshAddress {
    /// Reads an address for which [`is_ssh`] is true.
    ///
    /// # Errors
    /// Where it has no host or path, or one that ssh or git would take for an option.
    pub fn parse(text: &str) -> Result<Self, AddressError> {
        let wrong = |problem| AddressError { text: without_password(text), problem };
        let (authority, path) = match text.split_once("://") {
            Some((_, rest)) => rest.find('/').map(|slash| rest.split_at(slash)),
            None => split_scp_like(text),
        }
        .ok_or_else(|| wrong("it names no path"))?;
        // `[git@host:2222]:path` has the port in brackets
        let in_brackets = authority.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).filter(|rest| rest.contains('@'));
        let (authority, is_url) = (in_brackets.unwrap_or(authority), text.contains("://"));
        let (user, place) = match authority.rsplit_once('@') {
            Some((user, place)) => (Some(user.split(':').next().unwrap_or_default()), place),
            None => (None, authority),
        };
        let (host, port) = split_port(place, is_url || in_brackets.is_some()).ok_or_else(|| wrong("its port is no number"))?;
        let decoded = |part: &str| if is_url { percent_decoded(part) } else { Some(part.to_owned()) };
        let unreadable = || wrong("its percent signs make no sense");
        let address = SshAddress {
            user: user.map(|user| decoded(user).ok_or_else(unreadable)).transpose()?.filter(|user| !user.is_empty()),
            host: decoded(host).ok_or_else(unreadable)?,
            port,
            path: decoded(home_relative(path, is_url)).ok_or_else(unreadable)?,
            text: without_password(text),
        };
        match address.problem() {
            Some(problem) => Err(wrong(problem)),
            None => Ok(address),
        }
    }

    fn problem(&self) -> Option<&'static str> {
        let parts = [self.user.as_deref().unwrap_or_default(), &self.host, &self.path];
        let is_bare = self.path.trim_matches('/').is_empty();
        match () {
            () if parts.iter().any(|part| part.starts_with('-')) => {
                Some("a part that begins with `-` could pass for an option")
            }
            () if parts.iter().any(|part| part.contains(char::is_control)) => Some("it holds control characters"),
            () if self.host.is_empty() || self.host.contains(['/', ' ']) => Some("it names no host"),
            () if is_bare => Some("it names no path"),
            () => None,
        }
    }

    /// The host, or what ssh's configuration calls so.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The repository's path there.
    pub fn path(&self) -> &str {
        &self.path
    }

    fn destination(&self) -> String {
        match &self.user {
            Some(user) => format!("{user}@{}", self.host),
            None => self.host.clone(),
        }
    }
}

impl fmt::Display for SshAddress {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        formatter.write_str(&self.text)
    }
}

/// `host:path`, where the host may stand in brackets and hold colons itself.
fn split_scp_like(text: &str) -> Option<(&str, &str)> {
    let after_brackets = text.find(']').filter(|_| text.contains('[')).unwrap_or(0);
    let colon = after_brackets + text[after_brackets..].find(':')?;
    Some((&text[..colon], &text[colon + 1..]))
}

/// Host and port of `host:port`, `[host]:port` and, as scp-like addresses have it, `[host:port]`.
fn split_port(place: &str, is_url: bool) -> Option<(&str, Option<u16>)> {
    if let Some((inner, after)) = place.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        return match after.strip_prefix(':') {
            Some(port) => Some((inner, Some(port.parse().ok()?))),
            None if inner.matches(':').count() == 1 => split_port(inner, true),
            None => Some((inner, None)),
        };
    }
    match place.split_once(':').filter(|_| is_url) {
        Some((host, "")) => Some((host, None)),
        Some((host, port)) => Some((host, Some(port.parse().ok()?))),
        None => Some((place, None)),
    }
}

/// `/~ann/app` of a URL is relative to a home.
fn home_relative(path: &str, is_url: bool) -> &str {
    if is_url && path.starts_with("/~") { &path[1..] } else { path }
}

/// A part of a URL as it is meant; `None` where its percent signs make no sense.
pub fn percent_decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let digits = [rest.next()?, rest.next()?];
            bytes.push(u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?);
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).ok()
}

/// The address as it may be shown: ssh takes no password from it anyway.
fn without_password(text: &str) -> String {
    let Some((scheme, rest)) = text.split_once("://") else { return text.to_owned() };
    let authority = rest.split('/').next().unwrap_or_default();
    match authority.rsplit_once('@').and_then(|(user, place)| Some((user.split_once(':')?.0, place))) {
        Some((user, place)) => format!("{scheme}://{user}@{place}{}", &rest[authority.len()..]),
        None => text.to_owned(),
    }
}

/// What reaches hosts by SSH.
#[derive(Debug, Clone)]
pub enum SshProgram {
    /// A command line for the shell: `GIT_SSH_COMMAND`, `core.sshCommand`.
    Shell(String),
    /// A program: `GIT_SSH`, or `ssh` itself.
    Program(String),
}

/// The person's own ssh, with its agent, known hosts and configuration.
#[derive(Debug, Clone)]
pub struct Ssh {
    program: SshProgram,
    hidden: &'static [&'static str],
}

impl Ssh {
    /// `hidden` are the variables of the environment that it does not get.
    pub fn new(program: SshProgram, hidden: &'static [&'static str]) -> Self {
        Ssh { program, hidden }
    }

    /// The program in words.
    pub(super) fn name(&self) -> &str {
        match &self.program {
            SshProgram::Shell(line) => line,
            SshProgram::Program(program) => program,
        }
    }

    /// The command that runs a git service there; ssh itself asks the person, if need be, on the terminal.
    pub(super) fn command(&self, address: &SshAddress, service: &str) -> Command {
        let mut command = match &self.program {
            SshProgram::Program(program) => Command::new(program),
            SshProgram::Shell(line) => {
                let mut shell = Command::new("/bin/sh");
                shell.arg("-c").arg(format!("{line} \"$@\"")).arg(line);
                shell
            }
        };
        if let Some(port) = address.port {
            command.arg("-p").arg(port.to_string());
        }
        command.arg(address.destination()).arg(format!("{service} {}", quoted(&address.path)));
        for name in self.hidden {
            command.env_remove(name);
        }
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }
}

/// One word for the shell at the other end; always in quotes, as git servers expect it, which often are no shell.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''").replace('!', r"'\!'"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn parts(text: &str) -> (String, Option<u16>, String) {
        assert!(is_ssh(text), "{text}");
        let address = SshAddress::parse(text).expect(text);
        (address.destination(), address.port, address.path)
    }

    #[test]
    fn addresses_are_read_as_git_reads_them() {
        let app = || "/grp/app.git".to_owned();
        let git = || "git@host".to_owned();
        assert_eq!(parts("ssh://git@host/grp/app.git"), (git(), None, app()));
        assert_eq!(parts("git+ssh://git@host:2222/grp/app.git"), (git(), Some(2222), app()));
        assert_eq!(parts("ssh://host:/grp/app.git"), ("host".to_owned(), None, app()));
        assert_eq!(parts("git@host:grp/app.git"), (git(), None, "grp/app.git".to_owned()));
        assert_eq!(parts("alias:/grp/app.git"), ("alias".to_owned(), None, app()));
        assert_eq!(parts("ssh://[::1]:2222/grp/app.git"), ("::1".to_owned(), Some(2222), app()));
        assert_eq!(parts("git@[::1]:grp/app.git"), ("git@::1".to_owned(), None, "grp/app.git".to_owned()));
        assert_eq!(parts("[git@host:2222]:grp/app.git"), (git(), Some(2222), "grp/app.git".to_owned()));
        assert_eq!(parts("git@[host:2222]:grp/app.git"), (git(), Some(2222), "grp/app.git".to_owned()));
        assert_eq!(parts("ssh://host/~ann/my%20app"), ("host".to_owned(), None, "~ann/my app".to_owned()));
        for other in ["/a:b", "./a:b", "https://host/x", "file:///x", "folder", ":x"] {
            assert!(!is_ssh(other), "{other}");
        }
    }

    #[test]
    fn what_could_pass_for_an_option_or_has_no_place_is_refused() {
        for text in [
            "ssh://-oProxyCommand=x/app",
            "-oProxyCommand=x:app",
            "ssh://-l@host/app",
            "host:-x",
            "ssh://host/%00",
            "ssh://host",
            "ssh:///app",
            "ssh://host/",
            "ssh://host:port/app",
            "ssh://host/%zz",
            "ssh://%2doProxyCommand=x/app",
            "host:a\nb",
        ] {
            assert!(SshAddress::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_password_is_never_shown() {
        let address = SshAddress::parse("ssh://ann:secret@host/app").expect("an address");
        assert_eq!((address.to_string().as_str(), address.destination().as_str()), ("ssh://ann@host/app", "ann@host"));
        assert!(!SshAddress::parse("ssh://ann:secret@-host/app").expect_err("refused").to_string().contains("secret"));
    }

    #[test]
    fn the_path_is_one_word_for_the_shell_there() {
        assert_eq!(quoted("/it's!"), r"'/it'\''s'\!''");
    }
}
