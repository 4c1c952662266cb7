//! The log, who may not sign it, and what is no secret in it.

use super::Config;
use super::problem::{Problem, quoted};
use super::value::{Section, Value, near};
use crate::core::record::{Digest, Id, Name};
use crate::core::redact;

/// Where the log is.
#[derive(Debug, Clone, Default)]
pub struct LogConfig {
    /// A git address, a path, or `local`.
    pub url: Option<String>,
    /// The branch, by default `deploy-log`.
    pub branch: Option<String>,
    /// The log's id: another log is refused.
    pub id: Option<Id>,
    /// Digest of the first record: a log that begins otherwise is refused, and no new one is begun.
    pub first: Option<Digest>,
    /// The address in the committer line of log commits.
    pub committer_email: Option<String>,
}

/// Who is distrusted.
#[derive(Debug, Clone, Default)]
pub struct SignersConfig {
    /// Keys that count only up to a record.
    pub revoked: Vec<RevokedConfig>,
    /// Environments to which pipelines of unprotected branches and tags may deploy, on record with the pipeline's key.
    pub unprotected: Vec<Name>,
}

/// A key that counts only up to a record.
#[derive(Debug, Clone)]
pub struct RevokedConfig {
    /// The key's fingerprint, `SHA256:…`.
    pub key: String,
    /// Number of the last record that it may have signed.
    pub after: u64,
}

/// What looks like a secret and is none.
#[derive(Debug, Clone, Default)]
pub struct RedactConfig {
    /// Kinds, as they stand in `[redacted:KIND]`.
    pub allow: Vec<String>,
}

const REVOKED: &str = "{ key: \"SHA256:…\", after: 124 }";

/// Reads them.
pub fn read(file: &Section, config: &mut Config) -> Result<(), Problem> {
    if let Some(value) = file.get("log") {
        config.log = log(&value)?;
    }
    if let Some(value) = file.get("signers") {
        config.signers = signers(&value)?;
    }
    let Some(value) = file.get("redact") else { return Ok(()) };
    let allow = value.section("{ allow: [jwt] }", &["allow"])?.get("allow");
    for value in allow.map(|allow| allow.list("[jwt]")).transpose()?.unwrap_or_default() {
        config.redact.allow.push(kind(&value)?);
    }
    Ok(())
}

fn log(value: &Value) -> Result<LogConfig, Problem> {
    let section = value.section("{ branch: deploy-log }", &["url", "branch", "id", "first", "committer_email"])?;
    let text = |key, example| section.get(key).map(|value| plain(&value, example)).transpose();
    let address = text("committer_email", "deploy-log@acme.example")?;
    if let (Some(value), Some(address)) = (section.get("committer_email"), &address)
        && !address.contains('@')
    {
        return Err(value.wrong(format!("is no address such as `deploy-log@acme.example`: {}", quoted(address))));
    }
    Ok(LogConfig {
        url: text("url", "https://gitlab.example.com/grp/log.git")?,
        branch: text("branch", "deploy-log")?,
        id: section.get("id").map(|id| id.parsed("0123456789abcdef0123456789abcdef")).transpose()?,
        first: section.get("first").map(|first| first.parsed("sha256:…")).transpose()?,
        committer_email: address,
    })
}

fn plain(value: &Value, example: &str) -> Result<String, Problem> {
    let text = value.text(example)?;
    if text.contains(['<', '>']) {
        return Err(value.wrong(format!("holds `<` or `>`; write it like `{example}`")));
    }
    Ok(text.to_owned())
}

fn signers(value: &Value) -> Result<SignersConfig, Problem> {
    let section = value.section("{ revoked: [] }", &["revoked", "unprotected"])?;
    let revoked = section.get("revoked").map(|list| list.list(&format!("[{REVOKED}]"))).transpose()?.unwrap_or_default();
    let unprotected = section.get("unprotected").map(|list| list.set("[staging]", "staging")).transpose()?;
    Ok(SignersConfig {
        revoked: revoked.iter().map(revocation).collect::<Result<_, _>>()?,
        unprotected: unprotected.unwrap_or_default(),
    })
}

fn revocation(value: &Value) -> Result<RevokedConfig, Problem> {
    let section = value.section(REVOKED, &["key", "after"])?;
    let (key, after) = (section.required("key", REVOKED)?, section.required("after", REVOKED)?);
    let fingerprint = key.text("SHA256:…")?;
    if !fingerprint.starts_with("SHA256:") || fingerprint.len() != "SHA256:".len() + 43 {
        let found = quoted(fingerprint);
        return Err(key.wrong(format!("expected a fingerprint like `SHA256:…` (see `ssh-keygen -lf KEY`), found {found}")));
    }
    Ok(RevokedConfig { key: fingerprint.to_owned(), after: after.number("124")? })
}

fn kind(value: &Value) -> Result<String, Problem> {
    let text = value.text("jwt")?;
    if redact::KINDS.contains(&text) || text.strip_prefix("variable:").is_some_and(|name| !name.is_empty()) {
        return Ok(text.to_owned());
    }
    let near = near(text, &redact::KINDS);
    Err(value.wrong(format!("{}{near} is none of {}, variable:NAME", quoted(text), redact::KINDS.join(", "))))
}
