//! Why GitLab did not do or tell something, and what helps.

use super::call::WRITE;
use crate::http::RemoteError;
use std::fmt;

/// A kind of token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Token {
    /// The job's own, `CI_JOB_TOKEN`.
    Job,
    /// An access token, `DEPLOY_RECORD_TOKEN`.
    Access,
}

impl fmt::Display for Token {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        formatter.pad(match self {
            Token::Job => "the job's token",
            Token::Access => "the access token",
        })
    }
}

/// What went wrong with a call. Texts hold no credentials.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ApiError {
    /// The call needs another token than those at hand.
    #[error("GitLab {} only to an access token, and there is none", allowed(.what))]
    NoToken {
        /// What was to be read or done, such as `who is a member`.
        what: &'static str,
        /// The scope that the token would need.
        scope: &'static str,
    },
    /// There is no such thing, or the token may not see it, which GitLab does not tell apart (403, 404).
    #[error("GitLab {} (HTTP {code}{})", denied(.token, .what), if .words.is_empty() { String::new() } else { format!(": {}", .words) })]
    Untold {
        /// What was to be read or done.
        what: &'static str,
        /// The scope that an access token needs.
        scope: &'static str,
        /// The token that was sent.
        token: Token,
        /// The status.
        code: u16,
        /// What GitLab says about it.
        words: String,
    },
    /// There is too much of it to be read.
    #[error("there is too much of {what} to read: more than {most} pages")]
    TooMuch {
        /// What was to be read.
        what: &'static str,
        /// How many pages are read.
        most: u32,
    },
    /// The server can't be reached, or answers nonsense.
    #[error("GitLab can't be asked {what}: {source}")]
    Remote {
        /// What was to be read or done.
        what: &'static str,
        /// Why.
        source: RemoteError,
    },
}

/// `does not tell the access token its issues`, or `does not allow the access token to make an issue`.
fn denied(token: &Token, what: &str) -> String {
    let verb = if what.starts_with("to ") { "allow" } else { "tell" };
    format!("does not {verb} {token} {what}")
}

/// `tells its issues`, or `allows to make an issue`.
fn allowed(what: &str) -> String {
    let verb = if what.starts_with("to ") { "allows" } else { "tells" };
    format!("{verb} {what}")
}

impl ApiError {
    /// Whether what was to be done may have been done all the same: only the answer is known to be lost.
    pub fn may_be_done(&self) -> bool {
        let ApiError::Remote { source, .. } = self else { return false };
        source.is_transient() && !source.was_not_done()
    }

    /// Whether GitLab said no to what was to be done: it was not, and would not be by asking again.
    pub fn is_refusal(&self) -> bool {
        match self {
            ApiError::Untold { .. } => true,
            ApiError::Remote { source: RemoteError::Status { code, .. }, .. } => {
                (400..500).contains(code) && ![401, 408, 429].contains(code)
            }
            ApiError::NoToken { .. } | ApiError::TooMuch { .. } | ApiError::Remote { .. } => false,
        }
    }

    /// Whether nothing was learned because the server can't be reached, or is down. One that is asked too often (429) is neither:
    /// whoever runs the job can bring that about.
    pub fn is_unreachable(&self) -> bool {
        let is_busy = matches!(self, ApiError::Remote { source: RemoteError::Status { code: 429, .. }, .. });
        !is_busy && matches!(self, ApiError::Remote { source, .. } if source.is_transient())
    }

    /// Whether GitLab said that there is no such thing, or that it is not for this token.
    pub fn is_untold(&self) -> bool {
        matches!(self, ApiError::Untold { .. })
    }

    /// What helps, where that is known; `version` is the server's, where the job knows it.
    pub fn advice(&self, version: Option<&str>) -> Option<String> {
        match self {
            ApiError::NoToken { scope, .. } => {
                Some(format!("set DEPLOY_RECORD_TOKEN, masked and protected, to an access token with {}", scopes(scope)))
            }
            ApiError::Untold { token: Token::Access, scope, words, .. } if words.contains("insufficient_scope") => {
                Some(format!("the access token (DEPLOY_RECORD_TOKEN) lacks a scope; make one with {}", scopes(scope)))
            }
            ApiError::Untold { token: Token::Access, scope, .. } => Some(format!(
                "the account of the access token (DEPLOY_RECORD_TOKEN) must be a member of the project, with the role Reporter or \
                 more, and the token needs {}",
                scopes(scope)
            )),
            ApiError::Untold { token: Token::Job, scope, .. } => {
                let here = version.map(|version| format!(", and this one is {version}")).unwrap_or_default();
                Some(format!(
                    "a job's token can read merge requests and their comments since about GitLab 18.4{here}; on an older one, or \
                     where the person who runs the job may not see them, set DEPLOY_RECORD_TOKEN to an access token with {}",
                    scopes(scope)
                ))
            }
            ApiError::Remote { source: RemoteError::Status { code: 429, .. }, .. } => {
                Some("GitLab limits how often it may be asked; wait a minute, and try again".to_owned())
            }
            ApiError::Remote { source: RemoteError::Status { code: 401, .. }, .. } => {
                Some("GitLab does not know the token: it has expired, was revoked, or is not this server's".to_owned())
            }
            ApiError::Remote { .. } | ApiError::TooMuch { .. } => None,
        }
    }
}

/// The scopes that a token needs which is used for this: git uses it, too.
pub fn scopes(scope: &str) -> String {
    match scope {
        WRITE => format!("the scope `{WRITE}`"),
        scope => format!("the scopes `{scope}` and `write_repository`"),
    }
}
