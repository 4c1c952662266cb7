//! GitLab's ID tokens: what GitLab says of a job under its own signature (docs.gitlab.com/ci/secrets/id_token_authentication).
//!
//! A token is a JWT (RFC 7519) in the compact form of a JWS (RFC 7515 § 3.1), signed with RS256 (RFC 7518 § 3.3). It chooses
//! nothing: another algorithm than RS256 is refused before any key is looked at, and the key is the one of GitLab's key set
//! (RFC 7517) that has the token's `kid`; a key or an address in the token's header (`jwk`, `jku`, `x5c`, `x5u`) is never read.
//! Nor is `sub`, whose form each project may choose.
//!
//! There is no clock here and no network. The signature is checked with ring, which TLS brings along, and not through a crate for
//! JWTs: jsonwebtoken 11 makes the program 0.2 MB larger, looks at a clock of its own, passes over claims that are missing, and
//! knows no `crit`.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, SecondsFormat};
use ring::signature::{RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents};
use serde_json::{Map, Value};

#[cfg(test)]
mod tests;

/// The audience that a token must be made for, and for nobody else: whoever takes tokens for the same audience could show them here.
pub const AUDIENCE: &str = "deploy-record";

/// The longest token that is looked at, in bytes; GitLab's have one to three kilobytes.
pub const LONGEST: usize = 16 * 1024;

/// How many seconds the clock here and GitLab's may differ.
pub const SKEW: i64 = 60;

/// The keys with which GitLab signs (RFC 7517 § 5); those of other kinds are passed over until a token names one.
#[derive(Debug, Clone)]
pub struct KeySet {
    keys: Vec<Value>,
}

impl KeySet {
    /// Reads one; `None` where it is none.
    pub fn parse(bytes: &[u8]) -> Option<KeySet> {
        let Value::Array(keys) = serde_json::from_slice::<Value>(bytes).ok()?.get_mut("keys")?.take() else { return None };
        Some(KeySet { keys })
    }
}

/// What the job's variables say of it; `None` where they say nothing.
#[derive(Debug, Clone, Copy)]
pub struct JobVariables<'a> {
    /// `CI_SERVER_URL`: the address whose keys these are.
    pub server_url: &'a str,
    /// `CI_PROJECT_ID`
    pub project_id: Option<u64>,
    /// `CI_PROJECT_PATH`
    pub project_path: Option<&'a str>,
    /// `CI_PIPELINE_ID`
    pub pipeline_id: Option<u64>,
    /// `CI_JOB_ID`
    pub job_id: Option<u64>,
    /// `CI_COMMIT_SHA`
    pub sha: &'a str,
    /// `CI_COMMIT_BRANCH`
    pub branch: Option<&'a str>,
    /// `CI_COMMIT_TAG`
    pub tag: Option<&'a str>,
    /// `GITLAB_USER_ID`
    pub user_id: Option<u64>,
    /// `GITLAB_USER_LOGIN`
    pub user_login: Option<&'a str>,
    /// `CI_ENVIRONMENT_NAME`
    pub environment: Option<&'a str>,
}

/// What GitLab vouches for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claims {
    /// The number of the project in which the job runs.
    pub project_id: u64,
    /// Its path.
    pub project_path: String,
    /// The pipeline's number.
    pub pipeline_id: u64,
    /// What started it, such as `push`.
    pub pipeline_source: Option<String>,
    /// The job's number.
    pub job_id: u64,
    /// The commit.
    pub sha: String,
    /// The branch or tag; of a merge request, the source branch.
    pub reference: String,
    /// Whether that is a tag.
    pub is_tag: bool,
    /// Whether GitLab protects it.
    pub is_protected: Option<bool>,
    /// The number of the user who runs the job, which stays when the login changes.
    pub user_id: u64,
    /// The login.
    pub user_login: String,
    /// The job's environment, where it has one.
    pub environment: Option<String>,
    /// The commit of the pipeline's configuration, where that is in the project itself.
    pub ci_config_sha: Option<String>,
}

impl Claims {
    /// Whether the pipeline is one of a merge request.
    pub fn is_of_merge_request(&self) -> bool {
        self.pipeline_source.as_deref() == Some(MERGE_REQUEST)
    }
}

const MERGE_REQUEST: &str = "merge_request_event";

/// Why a token does not count. No text holds the token.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdTokenError {
    /// It is longer than 16 KiB.
    #[error("it is longer than {LONGEST} bytes, and GitLab's are not")]
    TooLong,
    /// It is no JWT.
    #[error("it is no JWT: {0}")]
    Malformed(&'static str),
    /// It names another algorithm than RS256.
    #[error("its algorithm is {0}, and GitLab signs with `RS256`")]
    Algorithm(String),
    /// It asks for something that must be understood (RFC 7515 § 4.1.11).
    #[error("its header has `crit`, which GitLab never sends")]
    Critical,
    /// It names no key.
    #[error("it names no key (`kid`)")]
    NoKeyId,
    /// It names a key that is not in the set.
    #[error("it names the key `{0}`, which is none of the server's")]
    UnknownKey(String),
    /// It names a key that does not sign ID tokens.
    #[error("the server's key `{kid}` can't have signed it: {problem}")]
    UnfitKey {
        /// The key's name.
        kid: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// The key did not sign this.
    #[error("the server's key `{0}` did not sign it")]
    Signature(String),
    /// A claim is missing.
    #[error("it has no claim `{0}`")]
    Missing(&'static str),
    /// A claim makes no sense.
    #[error("its claim `{0}` makes no sense")]
    Nonsense(&'static str),
    /// Another server issued it.
    #[error("its issuer (`iss`) is `{is}`, and the server's address is `{server_url}`")]
    Issuer {
        /// What the token says.
        is: String,
        /// What it should say.
        server_url: String,
    },
    /// It is meant for somebody else.
    #[error("its audience (`aud`) is {0}, and should be `{AUDIENCE}` alone")]
    Audience(String),
    /// A variable says otherwise.
    #[error("{variable} is `{is}`, but GitLab's ID token says that it is `{told}`")]
    Contradiction {
        /// The variable.
        variable: &'static str,
        /// What it says.
        is: String,
        /// What the token says.
        told: String,
    },
    /// It names only the project that a merge request comes from: GitLab before 18.4.
    #[error("it names `{0}`, from which the merge request comes, and not the project in which the job runs")]
    SourceProject(String),
    /// It does not count yet.
    #[error("by its `{claim}` it counts from {at} on, and it is {now} here")]
    NotYet {
        /// Which claim says so.
        claim: &'static str,
        /// From when on.
        at: String,
        /// The time here.
        now: String,
    },
    /// It does not count any more. Everything else about it is right.
    #[error("it expired at {at}, and it is {now} here")]
    Expired {
        /// When.
        at: String,
        /// The time here.
        now: String,
    },
}

/// Checks the signature and all claims; `now` is in seconds since 1970.
///
/// Judged last is whether it has expired: a token with that error is right otherwise.
///
/// # Errors
/// Says what is wrong with it, or which variable it contradicts.
pub fn verify(token: &str, keys: &KeySet, job: &JobVariables, now: i64) -> Result<Claims, IdTokenError> {
    let claims = signed_claims(token, keys)?;
    check_issuer(&claims, job.server_url)?;
    check_audience(&claims)?;
    let times = Times::read(&claims)?;
    times.check_begin(now)?;
    let claims = read(&claims, job)?;
    refuse_contradictions(&claims, job)?;
    times.check_end(now)?;
    Ok(claims)
}

type Object = Map<String, Value>;

/// The claims, once it is sure that GitLab signed them.
fn signed_claims(token: &str, keys: &KeySet) -> Result<Object, IdTokenError> {
    if token.len() > LONGEST {
        return Err(IdTokenError::TooLong);
    }
    let parts: Vec<_> = token.split('.').collect();
    let [header, payload, signature] = parts.as_slice() else {
        return Err(IdTokenError::Malformed("it is not three parts with dots between them"));
    };
    let kid = key_named_in(&object(header, "its header is no JSON object in base64url")?)?;
    let signature = decoded(signature).ok_or(IdTokenError::Malformed("its signature is not base64url"))?;
    let signed = &token[..header.len() + 1 + payload.len()];
    check_signature(signed.as_bytes(), &signature, &kid, keys)?;
    object(payload, "its payload is no JSON object in base64url")
}

fn object(part: &str, problem: &'static str) -> Result<Object, IdTokenError> {
    match decoded(part).and_then(|bytes| serde_json::from_slice(&bytes).ok()) {
        Some(Value::Object(object)) => Ok(object),
        _ => Err(IdTokenError::Malformed(problem)),
    }
}

fn decoded(text: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text).ok()
}

/// The name of the key, from a header that asks for nothing but RS256.
fn key_named_in(header: &Object) -> Result<String, IdTokenError> {
    match header.get("alg") {
        Some(Value::String(algorithm)) if algorithm == "RS256" => {}
        Some(other) => return Err(IdTokenError::Algorithm(quoted(other))),
        None => return Err(IdTokenError::Algorithm("not said".to_owned())),
    }
    if header.contains_key("crit") {
        return Err(IdTokenError::Critical);
    }
    header.get("kid").and_then(Value::as_str).map(str::to_owned).ok_or(IdTokenError::NoKeyId)
}

/// While GitLab changes its keys, the set has the old and the new one.
fn check_signature(signed: &[u8], signature: &[u8], kid: &str, keys: &KeySet) -> Result<(), IdTokenError> {
    let shown = || shortened(kid);
    let named = keys.keys.iter().filter(|key| key.get("kid").and_then(Value::as_str) == Some(kid));
    let mut outcome = Err(IdTokenError::UnknownKey(shown()));
    for key in named {
        match rsa_key(key) {
            Ok(key) if key.verify(&RSA_PKCS1_2048_8192_SHA256, signed, signature).is_ok() => return Ok(()),
            Ok(_) => outcome = Err(IdTokenError::Signature(shown())),
            Err(problem) => outcome = Err(IdTokenError::UnfitKey { kid: shown(), problem }),
        }
    }
    outcome
}

/// A key that may verify RS256 (RFC 7517 § 4, RFC 7518 § 6.3.1).
fn rsa_key(key: &Value) -> Result<RsaPublicKeyComponents<Vec<u8>>, &'static str> {
    let is = |name: &str, value: &str| key.get(name).is_none_or(|found| found.as_str() == Some(value));
    if key.get("kty").and_then(Value::as_str) != Some("RSA") {
        return Err("it is no RSA key");
    }
    if !is("use", "sig") || !is("alg", "RS256") {
        return Err("it is meant for something else than RS256 signatures");
    }
    if key.get("key_ops").is_some_and(|uses| !uses.as_array().is_some_and(|uses| uses.iter().any(|a| a == "verify"))) {
        return Err("it is not meant for verifying signatures");
    }
    let number = |name: &str| key.get(name).and_then(Value::as_str).and_then(decoded);
    let (Some(n), Some(e)) = (number("n"), number("e")) else { return Err("its numbers are not base64url") };
    match n.first().map(|first| n.len() * 8 - first.leading_zeros() as usize) {
        Some(2048..=8192) => Ok(RsaPublicKeyComponents { n, e }),
        _ => Err("it does not have 2048 to 8192 bits"),
    }
}

/// A trailing slash makes no difference; anything else is another server.
fn check_issuer(claims: &Object, server_url: &str) -> Result<(), IdTokenError> {
    let is = required_text(claims, "iss")?;
    let bare = |url: &str| url.strip_suffix('/').unwrap_or(url).to_owned();
    if bare(&is) == bare(server_url) {
        return Ok(());
    }
    Err(IdTokenError::Issuer { is: shortened(&is), server_url: shortened(server_url) })
}

/// One audience, also as the only one of a list: a token that others take as well is theirs to show.
fn check_audience(claims: &Object) -> Result<(), IdTokenError> {
    let audience = claims.get("aud").ok_or(IdTokenError::Missing("aud"))?;
    let only = match audience.as_array().map(Vec::as_slice) {
        Some([only]) => only,
        Some(_) => return Err(IdTokenError::Audience(quoted(audience))),
        None => audience,
    };
    if only == AUDIENCE { Ok(()) } else { Err(IdTokenError::Audience(quoted(audience))) }
}

/// When it counts, in seconds since 1970.
struct Times {
    issued: i64,
    from: i64,
    to: i64,
}

impl Times {
    fn read(claims: &Object) -> Result<Times, IdTokenError> {
        let time = |name| i64::try_from(required_number(claims, name)?).map_err(|_| IdTokenError::Nonsense(name));
        Ok(Times { issued: time("iat")?, from: time("nbf")?, to: time("exp")? })
    }

    fn check_begin(&self, now: i64) -> Result<(), IdTokenError> {
        match [("nbf", self.from), ("iat", self.issued)].into_iter().find(|(_, at)| at.saturating_sub(SKEW) > now) {
            None => Ok(()),
            Some((claim, at)) => Err(IdTokenError::NotYet { claim, at: readable(at), now: readable(now) }),
        }
    }

    fn check_end(&self, now: i64) -> Result<(), IdTokenError> {
        if now < self.to.saturating_add(SKEW) {
            return Ok(());
        }
        Err(IdTokenError::Expired { at: readable(self.to), now: readable(now) })
    }
}

fn read(claims: &Object, job: &JobVariables) -> Result<Claims, IdTokenError> {
    let pipeline_source = text(claims, "pipeline_source")?;
    let (project_id, project_path) = project(claims, pipeline_source.as_deref(), job)?;
    let is_tag = match required_text(claims, "ref_type")?.as_str() {
        "tag" => true,
        "branch" => false,
        _ => return Err(IdTokenError::Nonsense("ref_type")),
    };
    Ok(Claims {
        project_id,
        project_path,
        pipeline_id: required_number(claims, "pipeline_id")?,
        pipeline_source,
        job_id: required_number(claims, "job_id")?,
        sha: required_text(claims, "sha")?,
        reference: required_text(claims, "ref")?,
        is_tag,
        is_protected: truth(claims, "ref_protected")?,
        user_id: required_number(claims, "user_id")?,
        user_login: required_text(claims, "user_login")?,
        environment: text(claims, "environment")?,
        ci_config_sha: text(claims, "ci_config_sha")?,
    })
}

/// The project in which the job runs. In a merge request's pipeline, `project_id` and `project_path` are those of the project that
/// it comes from; the job's own are told since GitLab 18.4.
fn project(claims: &Object, source: Option<&str>, job: &JobVariables) -> Result<(u64, String), IdTokenError> {
    if claims.contains_key("job_project_id") {
        return Ok((required_number(claims, "job_project_id")?, required_text(claims, "job_project_path")?));
    }
    let (id, path) = (required_number(claims, "project_id")?, required_text(claims, "project_path")?);
    let is_elsewhere = job.project_id.is_some_and(|own| own != id);
    if source == Some(MERGE_REQUEST) && is_elsewhere {
        return Err(IdTokenError::SourceProject(shortened(&path)));
    }
    Ok((id, path))
}

/// A variable that says otherwise than GitLab was set by somebody.
fn refuse_contradictions(claims: &Claims, job: &JobVariables) -> Result<(), IdTokenError> {
    let number = |number: Option<u64>| number.map(|number| number.to_string());
    let owned = |text: Option<&str>| text.map(str::to_owned);
    let kind = if claims.is_tag { "tag" } else { "branch" };
    let named = |is_it: bool| if is_it { claims.reference.clone() } else { format!("{kind} {}", claims.reference) };
    // GitLab's paths are the same in any case
    let path = job.project_path.filter(|path| !path.eq_ignore_ascii_case(&claims.project_path));
    let said = [
        ("CI_PROJECT_ID", number(job.project_id), claims.project_id.to_string()),
        ("CI_PROJECT_PATH", owned(path), claims.project_path.clone()),
        ("CI_PIPELINE_ID", number(job.pipeline_id), claims.pipeline_id.to_string()),
        ("CI_JOB_ID", number(job.job_id), claims.job_id.to_string()),
        ("CI_COMMIT_SHA", Some(job.sha.to_owned()), claims.sha.clone()),
        ("GITLAB_USER_ID", number(job.user_id), claims.user_id.to_string()),
        ("GITLAB_USER_LOGIN", owned(job.user_login), claims.user_login.clone()),
        ("CI_COMMIT_BRANCH", owned(job.branch), named(!claims.is_tag)),
        ("CI_COMMIT_TAG", owned(job.tag), named(claims.is_tag)),
    ];
    let environment = claims.environment.clone().map(|told| ("CI_ENVIRONMENT_NAME", owned(job.environment), told));
    for (variable, is, told) in said.into_iter().chain(environment) {
        if let Some(is) = is.filter(|is| *is != told) {
            return Err(IdTokenError::Contradiction { variable, is: shortened(&is), told: shortened(&told) });
        }
    }
    Ok(())
}

/// A claim as text. GitLab writes numbers and truth values as text, but not all of them in all versions.
fn text(claims: &Object, name: &'static str) -> Result<Option<String>, IdTokenError> {
    match claims.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) if text.is_empty() => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(Value::Number(number)) => {
            number.as_u64().map(|number| Some(number.to_string())).ok_or(IdTokenError::Nonsense(name))
        }
        Some(Value::Bool(truth)) => Ok(Some(truth.to_string())),
        Some(Value::Array(_) | Value::Object(_)) => Err(IdTokenError::Nonsense(name)),
    }
}

fn required_text(claims: &Object, name: &'static str) -> Result<String, IdTokenError> {
    text(claims, name)?.ok_or(IdTokenError::Missing(name))
}

fn required_number(claims: &Object, name: &'static str) -> Result<u64, IdTokenError> {
    required_text(claims, name)?.parse().map_err(|_| IdTokenError::Nonsense(name))
}

fn truth(claims: &Object, name: &'static str) -> Result<Option<bool>, IdTokenError> {
    let text = text(claims, name)?;
    text.map(|text| text.parse().map_err(|_| IdTokenError::Nonsense(name))).transpose()
}

fn readable(seconds: i64) -> String {
    let time = DateTime::from_timestamp(seconds, 0);
    time.map_or_else(|| seconds.to_string(), |time| time.to_rfc3339_opts(SecondsFormat::Secs, true))
}

fn quoted(value: &Value) -> String {
    match value {
        Value::String(text) => format!("`{}`", shortened(text)),
        Value::Array(list) => {
            let texts: Vec<_> = list.iter().filter_map(Value::as_str).collect();
            format!("a list: `{}`", shortened(&texts.join(", ")))
        }
        _ => "no text".to_owned(),
    }
}

/// What a token says may be anybody's words.
fn shortened(text: &str) -> String {
    let start: String = text.chars().take(200).collect();
    let dots = if start.len() < text.len() { "…" } else { "" };
    format!("{}{dots}", start.escape_debug())
}
