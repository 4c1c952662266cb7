//! Exit codes and failures: the one table.

use crate::config::ConfigError;
use crate::core::escape::shell_quoted;
use crate::core::finding::{Code, Finding};
use crate::http::RemoteError;
use crate::keys::KeyError;
use crate::recorder::RecordError;
use crate::store::StoreError;

/// How a command ends, apart from `run`, which ends as its command does once that has started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// Done, or allowed.
    Done,
    /// Refused by policy, or verification failed.
    No,
    /// Wrong usage, configuration or trust.
    Usage,
    /// Could not tell, or could not reach.
    Unable,
    /// The code of the command that `run` ran.
    Command(i32),
}

impl Exit {
    /// The table, for the README and `--help`: code and meaning.
    pub const TABLE: &'static [(u8, &'static str)] = &[
        (0, "done, or allowed"),
        (1, "refused by policy, or verification failed"),
        (2, "wrong usage, configuration or trust"),
        (3, "could not tell, or could not reach"),
    ];

    /// The process's exit code.
    pub fn code(self) -> u8 {
        match self {
            Exit::Done => 0,
            Exit::No => 1,
            Exit::Usage => 2,
            Exit::Unable => 3,
            Exit::Command(code) => u8::try_from(code).unwrap_or(255),
        }
    }
}

/// Why a command failed: the exit, what failed and on what, and what to do next.
#[derive(Debug)]
pub struct Failure {
    /// How to end.
    pub exit: Exit,
    /// What failed.
    pub error: anyhow::Error,
    /// What to do next, one line each.
    pub hints: Vec<String>,
    /// Whether it may go well in a moment: a server could not be reached.
    pub is_passing: bool,
}

impl Failure {
    /// Wrong usage, configuration or trust.
    pub fn usage(error: impl Into<anyhow::Error>) -> Self {
        Failure { exit: Exit::Usage, error: error.into(), hints: Vec::new(), is_passing: false }
    }

    /// Could not tell, or could not reach.
    pub fn unable(error: impl Into<anyhow::Error>) -> Self {
        Failure { exit: Exit::Unable, error: error.into(), hints: Vec::new(), is_passing: false }
    }

    /// Refused by policy, or verification failed.
    pub fn no(error: impl Into<anyhow::Error>) -> Self {
        Failure { exit: Exit::No, ..Failure::unable(error) }
    }

    /// Could not reach a server that may be there in a moment.
    pub fn passing(error: impl Into<anyhow::Error>) -> Self {
        Failure { is_passing: true, ..Failure::unable(error) }
    }

    /// The same failure with a line on what to do next.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        Failure::usage(error)
    }
}

impl From<KeyError> for Failure {
    fn from(error: KeyError) -> Self {
        Failure::usage(error)
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        let hint = match &error {
            StoreError::Unreachable { source, .. } => remote_hint(source),
            StoreError::Missing { .. } => Some(
                "in a shallow or partial clone, `git fetch --unshallow` brings the rest; else `git fsck` tells what is lost"
                    .to_owned(),
            ),
            StoreError::Repository { .. } => None,
        };
        with(Failure::unable(error), hint)
    }
}

impl From<RecordError> for Failure {
    fn from(error: RecordError) -> Self {
        let is_passing = error.is_unreachable();
        Failure { is_passing, ..explained(error) }
    }
}

fn explained(error: RecordError) -> Failure {
    match error {
        RecordError::Store(error) => error.into(),
        RecordError::NotTrusted { ref line, .. } => {
            let add = |line| format!("add this line to `.deploy-record/allowed_signers` on the default branch: {line}");
            let hint = line.clone().map(add);
            with(Failure::usage(error), hint)
        }
        RecordError::Newer(_) => Failure::usage(error),
        RecordError::NotOpen { .. } => Failure::unable(error).hint("`deploy-record verify` shows the whole log"),
        RecordError::Rewound { .. } => Failure::unable(error)
            .hint("a clone that has the lost records can bring them back; else `deploy-record recover --accept-loss` goes on, visibly")
            .hint("where that was done already, `deploy-record verify` shows it, and this machine takes note of it"),
        RecordError::Lacks { ref environment, ref sha, .. } => {
            let line = format!(
                "deploy-record record --environment {} --commit {sha} --status success",
                shell_quoted(environment.as_str())
            );
            Failure::unable(error)
                .hint("where its record waits in a spool, such as an artifact of that job: `deploy-record replay`")
                .hint("a clone that has the lost records can push them back to the branch")
                .hint(format!("where it was deployed without being recorded, record it from your own machine: `{line}`"))
        }
        RecordError::Damaged { ref findings, .. } => {
            let next = damage_hint(findings);
            let hints: Vec<_> = findings.iter().map(describe).chain([next.to_owned()]).collect();
            hints.into_iter().fold(Failure::unable(error), Failure::hint)
        }
        RecordError::Refused { ref words, .. } => {
            let hint = refusal_hint(words);
            with(Failure::unable(error), hint)
        }
        RecordError::Record(_) => Failure::usage(error),
        RecordError::Clock(_) => Failure::unable(error).hint("set the machine's clock (NTP), then try again"),
        RecordError::Behind { seq, at, .. } => Failure::unable(error)
            .hint("if it is the clock here, set it (NTP), then try again")
            .hint(format!(
                "if it is record {seq} that is ahead, the log goes on from {at} on by itself; to go on before, take that record off the \
                 branch, and `deploy-record recover --accept-loss {seq}..{seq}` says so, for good"
            )),
        RecordError::Missing { .. } => Failure::unable(error)
            .hint("if the branch was deleted, restore it; `log.first` in `.deploy-record.yml` names its first record"),
        RecordError::Unknown { ref id, .. } => {
            let hint = format!("look for the id {id} with `deploy-record log --format json` before you record it again");
            Failure::unable(error).hint(hint)
        }
        RecordError::NotSpooled { because, problem } => {
            let failure = Failure::from(*because);
            let hint = format!("it could not be put into the spool either: {problem}");
            Failure { exit: Exit::Unable, ..failure.hint(hint) }
        }
        RecordError::TimedOut { .. } | RecordError::Other(_) => Failure::unable(error),
    }
}

/// What to do about a tip that can't be built on.
fn damage_hint(findings: &[Finding]) -> &'static str {
    let all = |codes: &[Code]| findings.iter().all(|finding| codes.contains(&finding.code));
    if all(&[Code::SignerUnknown, Code::CommitSignature]) {
        "if that key was right, put its line back into the trust root (`.git/deploy-record/allowed_signers` has that of a key that a \
         repository made for itself); `deploy-record verify` shows the whole log"
    } else if all(&[Code::CommitForeign]) {
        "if it is a release log, `deploy-record recover` goes on over the foreign commit, visibly; else name the right branch with --branch"
    } else {
        "`deploy-record verify` shows the whole log; `deploy-record recover` goes on over the damage, visibly"
    }
}

/// A finding on one line: code, record or commit, and the sentence.
pub fn describe(finding: &Finding) -> String {
    let place = match (finding.seq, &finding.commit) {
        (Some(seq), _) => format!(" record {seq}"),
        (None, Some(commit)) => format!(" commit {}", commit.short()),
        (None, None) => String::new(),
    };
    format!("{}{place}: {}", finding.code, finding.message)
}

fn with(failure: Failure, hint: Option<String>) -> Failure {
    match hint {
        Some(hint) => failure.hint(hint),
        None => failure,
    }
}

/// What to do about a failure of the git protocol, as GitLab gives it over HTTP and SSH.
pub fn remote_hint(error: &RemoteError) -> Option<String> {
    Some(match error {
        RemoteError::NoCertificates => {
            "install the `ca-certificates` package, or name a CA file in SSL_CERT_FILE or CI_SERVER_TLS_CA_FILE".to_owned()
        }
        RemoteError::CaFile { .. } => {
            "it is named by CI_SERVER_TLS_CA_FILE, GIT_SSL_CAINFO, git's http.sslCAInfo or SSL_CERT_FILE, the first of them that is set"
                .to_owned()
        }
        RemoteError::Tls(_) => "if the server has a private CA, name its file in CI_SERVER_TLS_CA_FILE or SSL_CERT_FILE".to_owned(),
        RemoteError::Status { code: 401, .. } => {
            "the token is wrong, expired, or missing: give one with --token or DEPLOY_RECORD_TOKEN; outside of CI, git's credential \
             helpers are asked too"
                .to_owned()
        }
        RemoteError::Proxy(_) => "it is git's http.proxy: see `git config --show-origin --get-all http.proxy`".to_owned(),
        RemoteError::Status { code: 407, .. } => {
            "the proxy wants a login: put it into the proxy's address, as in HTTPS_PROXY=http://USER:PASSWORD@HOST:PORT".to_owned()
        }
        RemoteError::Status { code: 403, .. } => {
            "the token may not push: in GitLab 18.4 or later, allow it under Settings > CI/CD > Job token permissions > \
             \"Allow Git push requests to the repository\"; before that, give a project access token with write_repository as DEPLOY_RECORD_TOKEN"
                .to_owned()
        }
        RemoteError::Status { code: 404, .. } => {
            "there is no such repository, or the token may not see it: check the address and the token".to_owned()
        }
        RemoteError::SshMissing { .. } => {
            "install ssh (Debian: openssh-client), or name it in GIT_SSH_COMMAND; or give the log's HTTPS address with --log"
                .to_owned()
        }
        RemoteError::SshHostKey(_) => {
            "compare the host's key with what its owner publishes; connecting with `ssh` by hand tells more".to_owned()
        }
        RemoteError::SshLogin(_) => {
            "ssh has no key that the server takes: see `ssh-add -l`, and `ssh -v` on that host; the key must be in your GitLab profile"
                .to_owned()
        }
        RemoteError::NoRepository(_) => "check the address, and that your login on that server may see the project".to_owned(),
        RemoteError::Here(_) => "look at the disk and at TMPDIR, where a copy of the log's newest commits is kept meanwhile".to_owned(),
        RemoteError::Redirect(_) => "if the repository moved, give its new address with --log".to_owned(),
        _ => return None,
    })
}

fn refusal_hint(words: &str) -> Option<String> {
    let lower = words.to_lowercase();
    (lower.contains("protected") || lower.contains("not allowed")).then(|| {
        "the branch is protected: under Settings > Repository > Protected branches, allow the pipeline's user, or the token's, to push to it"
            .to_owned()
    })
}
