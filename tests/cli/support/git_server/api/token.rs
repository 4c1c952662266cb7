//! Who asks: the token of a job, or an access token of a user (docs.gitlab.com/api/rest/authentication).

use super::call::message;
use super::endpoints::Endpoint;
use super::state::Gitlab;
use crate::support::git_server::http::{Head, Response};
use crate::support::git_server::token as new_token;

/// Who asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Caller {
    /// There is no token, or one that the endpoint does not take.
    Nobody,
    /// A job, with the rights of the user who runs it.
    Job {
        /// That user.
        user: u64,
    },
    /// A user.
    User {
        /// Which.
        user: u64,
        /// What the token is for.
        scopes: Vec<String>,
    },
}

/// An access token: personal, or of a project's bot or a service account.
pub struct AccessToken {
    secret: String,
    user: u64,
    scopes: Vec<String>,
}

impl Caller {
    /// The user with whose rights it is asked; 0 for nobody.
    pub fn user(&self) -> u64 {
        match self {
            Caller::Nobody => 0,
            Caller::Job { user } | Caller::User { user, .. } => *user,
        }
    }

    /// Whether the token's scopes are enough (docs.gitlab.com/user/profile/personal_access_tokens, "Scopes").
    pub fn may(&self, endpoint: &Endpoint) -> bool {
        let Caller::User { scopes, .. } = self else { return true };
        scopes.iter().any(|scope| match scope.as_str() {
            "api" => true,
            "read_api" => endpoint.method == "GET",
            "read_user" => endpoint.method == "GET" && endpoint.path.starts_with("/user"),
            "read_repository" => endpoint.path.ends_with("/raw"),
            _ => false,
        })
    }
}

impl Gitlab {
    /// Makes an access token of a user, such as with the scopes `api` or `read_api`.
    pub fn access_token(&mut self, user: u64, scopes: &[&str]) -> String {
        let secret = new_token("glpat");
        let scopes = scopes.iter().map(|scope| (*scope).to_owned()).collect();
        self.access_tokens.push(AccessToken { secret: secret.clone(), user, scopes });
        secret
    }

    /// Makes a token worthless.
    pub fn revoke(&mut self, secret: &str) {
        self.access_tokens.retain(|token| token.secret != secret);
    }

    /// Whether an access token, as git's password, may push; `None` where it may not even fetch. Pushing takes a Developer.
    pub(in super::super) fn may_push(&self, secret: &str) -> Option<bool> {
        let token = self.access_tokens.iter().find(|known| known.secret == secret)?;
        let has = |wanted: &[&str]| token.scopes.iter().any(|scope| wanted.contains(&scope.as_str()));
        let user = self.find_user(token.user)?;
        let may_fetch = has(&["api", "read_repository", "write_repository"]) && user.state == "active";
        may_fetch.then(|| has(&["api", "write_repository"]) && self.level(token.user) >= 30)
    }

    /// Whose token it is.
    ///
    /// # Errors
    /// 401 for a token that is not known, 403 for one of a user who is blocked.
    pub fn caller(&self, head: &Head) -> Result<Caller, Response> {
        let bearer = head.header("Authorization").and_then(|value| value.strip_prefix("Bearer "));
        let caller = if let Some(token) = head.header("PRIVATE-TOKEN").or(bearer) {
            let found = self.access_tokens.iter().find(|known| known.secret == token);
            found.map(|token| Caller::User { user: token.user, scopes: token.scopes.clone() })
        } else if let Some(token) = head.header("JOB-TOKEN") {
            let is_known = self.job_tokens.iter().any(|known| known == token);
            is_known.then(|| Caller::Job { user: self.job_user() })
        } else {
            Some(Caller::Nobody)
        };
        let caller = caller.ok_or_else(|| message(401, "401 Unauthorized"))?;
        match self.find_user(caller.user()) {
            Some(user) if user.state != "active" => Err(message(403, "403 Forbidden - Your account has been blocked.")),
            _ => Ok(caller),
        }
    }
}
