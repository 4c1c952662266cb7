//! `.deploy-record.yml`: text in, a checked configuration out.
//!
//! Unknown keys and wrong values are errors that name the line; nothing is guessed.

use crate::core::record::{ClassName, Digest, Id, Name, Tier};
use crate::core::redact;
use crate::core::trust::Revocation;
use regex::Regex;
use serde::Deserialize;
use std::collections::BTreeMap;

/// Where the configuration stands in a repository.
pub const FILE: &str = ".deploy-record.yml";

/// The most that a configuration may hold, in bytes: YAML's aliases can make much of little.
const LONGEST: usize = 64 * 1024;

/// A configuration that can't be used: where, and why.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ConfigError(String);

/// The configuration, as written and checked. Absent parts have the built-in defaults.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default, expecting = "a mapping of settings")]
pub struct Config {
    /// The service that the repository is, where that is one.
    #[serde(deserialize_with = "parsed_option")]
    pub service: Option<Name>,
    /// Environments by name.
    pub environments: BTreeMap<String, EnvironmentConfig>,
    /// How tickets look.
    pub tickets: TicketConfig,
    /// Where the log is.
    pub log: LogConfig,
    /// Who is distrusted.
    pub signers: SignersConfig,
    /// What looks like a secret and is none.
    pub redact: RedactConfig,
    /// Whether a deployment goes ahead, with its record in the spool, while the log can't be reached.
    pub log_unreachable: UnreachableConfig,
    /// The rules by which the gate decides.
    #[serde(skip)]
    pub rules: crate::core::policy::Rules,
}

/// What happens to a deployment of each class while the log can't be reached.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default, expecting = "a mapping such as { routine: go, sensitive: stop, emergency: go }")]
pub struct UnreachableConfig {
    /// A deployment that needs no note.
    pub routine: Unreachable,
    /// One that touches something that the policy names.
    pub sensitive: Unreachable,
    /// One that skips the usual way.
    pub emergency: Unreachable,
}

/// What happens to a deployment while the log can't be reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Unreachable {
    /// It goes ahead, and its record waits in the spool.
    Go,
    /// It stops.
    Stop,
}

impl Default for UnreachableConfig {
    fn default() -> Self {
        UnreachableConfig { routine: Unreachable::Go, sensitive: Unreachable::Stop, emergency: Unreachable::Go }
    }
}

impl UnreachableConfig {
    /// For each class, to stop where either says so.
    fn or_stricter(&self, other: &UnreachableConfig) -> UnreachableConfig {
        let of = |class| match (self.of(class), other.of(class)) {
            (Unreachable::Go, Unreachable::Go) => Unreachable::Go,
            _ => Unreachable::Stop,
        };
        UnreachableConfig {
            routine: of(ClassName::Routine),
            sensitive: of(ClassName::Sensitive),
            emergency: of(ClassName::Emergency),
        }
    }

    /// What happens to a deployment of this class.
    pub fn of(&self, class: ClassName) -> Unreachable {
        match class {
            ClassName::Routine => self.routine,
            ClassName::Sensitive => self.sensitive,
            ClassName::Emergency => self.emergency,
        }
    }
}

/// An environment that is recorded.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default, expecting = "a mapping such as { tier: production }")]
pub struct EnvironmentConfig {
    /// Its tier; by default what CI says, else what its name suggests.
    #[serde(deserialize_with = "parsed_option")]
    pub tier: Option<Tier>,
}

/// How tickets look.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default, expecting = "a mapping such as { pattern: \"…\" }")]
pub struct TicketConfig {
    /// A regular expression; all of each match is a ticket.
    pub pattern: Option<String>,
}

/// Where the log is.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default, expecting = "a mapping such as { branch: deploy-log }")]
pub struct LogConfig {
    /// A git address, a path, or `local`.
    pub url: Option<String>,
    /// The branch, by default `deploy-log`.
    pub branch: Option<String>,
    /// The log's id: another log is refused.
    #[serde(deserialize_with = "parsed_option")]
    pub id: Option<Id>,
    /// Digest of the first record: a log that begins otherwise is refused, and no new one is begun.
    #[serde(deserialize_with = "parsed_option")]
    pub first: Option<Digest>,
    /// The address in the committer line of log commits.
    pub committer_email: Option<String>,
}

/// Who is distrusted.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default, expecting = "a mapping such as { revoked: [] }")]
pub struct SignersConfig {
    /// Keys that count only up to a record.
    pub revoked: Vec<RevokedConfig>,
    /// Environments to which pipelines of unprotected branches and tags may deploy, on record with the pipeline's key.
    #[serde(deserialize_with = "parsed_list")]
    pub unprotected: Vec<Name>,
}

/// A key that counts only up to a record.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a mapping such as { key: \"SHA256:…\", after: 124 }")]
pub struct RevokedConfig {
    /// The key's fingerprint, `SHA256:…`.
    pub key: String,
    /// Number of the last record that it may have signed.
    pub after: u64,
}

/// What looks like a secret and is none.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default, expecting = "a mapping such as { allow: [] }")]
pub struct RedactConfig {
    /// Kinds, as they stand in `[redacted:KIND]`.
    pub allow: Vec<String>,
}

impl Config {
    /// Reads and checks the file's text.
    ///
    /// # Errors
    /// Names the line and what is wrong.
    pub fn parse(text: &str) -> Result<Config, ConfigError> {
        if text.len() > LONGEST {
            return Err(ConfigError(format!("it is {} bytes long; a configuration has at most {LONGEST}", text.len())));
        }
        if text.trim().is_empty() {
            return Ok(Config::default());
        }
        let config: Config = serde_yaml::from_str(text).map_err(|error| ConfigError(placed(&error.to_string(), text)))?;
        config.check()?;
        let log = &config.log_unreachable;
        let of = |unreachable| match unreachable {
            Unreachable::Go => crate::core::policy::Unreachable::Go,
            Unreachable::Stop => crate::core::policy::Unreachable::Stop,
        };
        let unreachable = crate::core::policy::WhenUnreachable {
            routine: of(log.routine),
            sensitive: of(log.sensitive),
            emergency: of(log.emergency),
        };
        let rules = crate::core::policy::Rules { are_written: true, unreachable, ..Default::default() };
        Ok(Config { rules, ..config })
    }

    /// The keys that are distrusted.
    pub fn revocations(&self) -> Vec<Revocation> {
        let revocation = |revoked: &RevokedConfig| Revocation { fingerprint: revoked.key.clone(), after: revoked.after };
        self.signers.revoked.iter().map(revocation).collect()
    }

    /// What may be believed of a configuration while the one that counts can't be read: names, and what makes it stricter. Not
    /// where the log is, who may sign besides, what is no secret, or that an environment matters less.
    #[must_use]
    pub fn without_leniency(self) -> Config {
        let strict = |tier: Option<Tier>| tier.filter(|tier| *tier == Tier::Production);
        let environments = self.environments.into_iter();
        let (log, signers) = (self.log, self.signers);
        Config {
            service: self.service,
            environments: environments.map(|(name, of)| (name, EnvironmentConfig { tier: strict(of.tier) })).collect(),
            tickets: self.tickets,
            log: LogConfig { id: log.id, first: log.first, ..LogConfig::default() },
            signers: SignersConfig { revoked: signers.revoked, ..SignersConfig::default() },
            redact: RedactConfig::default(),
            rules: self.rules,
            log_unreachable: self.log_unreachable.or_stricter(&UnreachableConfig::default()),
        }
    }

    fn check(&self) -> Result<(), ConfigError> {
        let wrong = |place: &str, problem: String| Err(ConfigError(shortened(&format!("{place}: {problem}"))));
        for name in self.environments.keys() {
            if let Err(problem) = Name::new(name.as_str()) {
                return wrong(&format!("environments: `{}`", name.escape_debug()), problem);
            }
        }
        if let Some(Err(error)) = self.tickets.pattern.as_deref().map(Regex::new) {
            return wrong("tickets.pattern", format!("is no regular expression: {error}"));
        }
        if self.tickets.pattern.as_deref().is_some_and(str::is_empty) {
            return wrong("tickets.pattern", "is empty".to_owned());
        }
        let is_kind = |kind: &str| redact::KINDS.contains(&kind) || kind.starts_with("variable:");
        if let Some(other) = self.redact.allow.iter().find(|kind| !is_kind(kind)) {
            let kinds = redact::KINDS.join(", ");
            return wrong("redact.allow", format!("`{}` is none of {kinds}, variable:NAME", other.escape_debug()));
        }
        if self.log.committer_email.as_deref().is_some_and(|address| !address.contains('@')) {
            return wrong("log.committer_email", "is no address".to_owned());
        }
        for revoked in &self.signers.revoked {
            if !revoked.key.starts_with("SHA256:") || revoked.key.len() != "SHA256:".len() + 43 {
                let found = revoked.key.escape_debug();
                return wrong(
                    "signers.revoked",
                    format!("expected a fingerprint like `SHA256:…` (see `ssh-keygen -lf KEY`), found `{found}`"),
                );
            }
        }
        let texts =
            [("log.url", &self.log.url), ("log.branch", &self.log.branch), ("log.committer_email", &self.log.committer_email)];
        for (place, text) in texts {
            if text.as_ref().is_some_and(|text| text.trim().is_empty() || text.contains(['\n', '\0', '<', '>'])) {
                return wrong(place, "is empty, or holds a character that it can't have".to_owned());
            }
        }
        Ok(())
    }
}

/// The parser's words; where they name an unknown key of the outermost level, which has no place of its own, with its line.
fn placed(error: &str, text: &str) -> String {
    let key = error.strip_prefix("unknown field `").and_then(|rest| rest.split('`').next());
    let is_key = |line: &str| key.is_some_and(|key| line.trim_start_matches(['"', '\'']).starts_with(key));
    let error = shortened(error);
    match text.lines().position(is_key) {
        Some(index) if !error.contains(" at line ") => format!("line {}: {error}", index + 1),
        _ => error,
    }
}

/// The parser repeats what it found; of a file that is no configuration that may be all of it.
fn shortened(error: &str) -> String {
    let characters: Vec<char> = error.chars().collect();
    if characters.len() <= 300 {
        return error.to_owned();
    }
    let part = |range: &[char]| range.iter().collect::<String>();
    format!("{} … {}", part(&characters[..100]), part(&characters[characters.len() - 100..]))
}

fn parsed_option<'de, T, D>(deserializer: D) -> Result<Option<T>, D::Error>
where
    T: std::str::FromStr<Err = String>,
    D: serde::Deserializer<'de>,
{
    let text = String::deserialize(deserializer)?;
    text.parse().map(Some).map_err(serde::de::Error::custom)
}

fn parsed_list<'de, T, D>(deserializer: D) -> Result<Vec<T>, D::Error>
where
    T: std::str::FromStr<Err = String>,
    D: serde::Deserializer<'de>,
{
    let texts = Vec::<String>::deserialize(deserializer)?;
    texts.iter().map(|text| text.parse().map_err(serde::de::Error::custom)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn refused(text: &str, because: &str) {
        let error = Config::parse(text).expect_err(text).to_string();
        assert!(error.contains(because), "{text}: {error}");
    }

    #[test]
    fn a_full_configuration() {
        let text = "service: billing-api\nenvironments:\n  production: { tier: production }\n  eu-1: {}\ntickets: { pattern: \"[A-Z]+-[0-9]+\" }\n\
            log: { url: \"https://gitlab.example/grp/log.git\", branch: deploy-log, committer_email: bot@acme.example }\n\
            signers: { revoked: [{ key: \"SHA256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\", after: 124 }], unprotected: [staging] }\nredact: { allow: [jwt] }\n";
        let config = Config::parse(text).expect("config");
        assert_eq!(config.environments["production"].tier, Some(Tier::Production));
        assert_eq!(config.revocations()[0].after, 124);
        assert!(Config::parse("").is_ok());
    }

    #[test]
    fn an_unreachable_log_stops_what_is_sensitive() {
        let unreachable = |text: &str| Config::parse(text).expect(text).log_unreachable;
        let of = |config: UnreachableConfig| ClassName::ALL.iter().map(|class| config.of(*class)).collect::<Vec<_>>();
        assert_eq!(of(unreachable("")), [Unreachable::Go, Unreachable::Stop, Unreachable::Go]);
        assert_eq!(
            of(unreachable("log_unreachable: { routine: stop }")),
            [Unreachable::Stop, Unreachable::Stop, Unreachable::Go]
        );
        assert_eq!(
            of(unreachable("log_unreachable: { sensitive: go, emergency: stop }")),
            [Unreachable::Go, Unreachable::Go, Unreachable::Stop]
        );
    }

    #[test]
    fn what_counts_meanwhile_is_only_stricter() {
        let digest = format!("sha256:{}", "0".repeat(64));
        let text = format!(
            "service: api\nenvironments: {{ production: {{ tier: development }}, eu-1: {{ tier: production }} }}\n\
            log: {{ url: \"https://evil.example/l.git\", branch: other, id: {}, first: \"{digest}\", committer_email: a@b }}\n\
            signers: {{ revoked: [{{ key: \"SHA256:{}\", after: 3 }}], unprotected: [production] }}\nredact: {{ allow: [jwt] }}\n\
            log_unreachable: {{ routine: stop, sensitive: go, emergency: go }}\n",
            "a".repeat(32),
            "a".repeat(43)
        );
        let config = Config::parse(&text).expect("config").without_leniency();
        assert_eq!((&config.log.url, &config.log.branch, &config.log.committer_email), (&None, &None, &None));
        assert!(config.signers.unprotected.is_empty() && config.redact.allow.is_empty());
        let tiers: Vec<_> = config.environments.iter().map(|(name, of)| (name.as_str(), of.tier)).collect();
        assert_eq!(tiers, [("eu-1", Some(Tier::Production)), ("production", None)]);
        assert!(config.log.id.is_some() && config.log.first.is_some() && config.revocations().len() == 1);
        let of = |class| config.log_unreachable.of(class);
        assert_eq!(
            ClassName::ALL.iter().map(|class| of(*class)).collect::<Vec<_>>(),
            [Unreachable::Stop, Unreachable::Stop, Unreachable::Go]
        );
        assert_eq!(config.service.as_ref().map(Name::as_str), Some("api"));
    }

    #[test]
    fn mistakes_are_named_with_their_line() {
        refused("servise: x", "line 1: unknown field `servise`");
        refused("tickets: {}\nservise: x", "line 2");
        refused("service: x\nlog:\n  brunch: y", "line 3");
        refused("environments: { production: { tier: prod } }", "expected one of production");
        refused("service: \"a;b\"", "a name has letters");
        refused("service: \"\"", "is empty");
        refused("environments: { \"a;b\": {} }", "a name has letters");
        refused("tickets: { pattern: \"(\" }", "is no regular expression");
        refused("signers: { revoked: [{ key: abc, after: 1 }] }", "expected a fingerprint");
        refused("signers: { revoked: [{ key: abc, after: -1 }] }", "line 1");
        refused("signers: { unprotected: [\"a;b\"] }", "a name has letters");
        refused("log: { id: abc }", "expected 32 lower-case hexadecimal digits");
        refused("log: { url: \"\" }", "log.url: is empty");
        refused("service: x\nservice: y", "duplicate");
        refused("log_unreachable: { routine: wait }", "unknown variant `wait`");
        refused("log_unreachable: { rutine: go }", "unknown field `rutine`");
        refused("redact: { allow: [jwtt] }", "`jwtt` is none of gitlab-token");
        refused("tickets: { pattern: \"\" }", "tickets.pattern: is empty");
        refused("log: { committer_email: zzz }", "is no address");
        refused("signers: { revoked: [3] }", "a mapping such as { key:");
        refused(&"root:x ".repeat(1000), " … ");
        refused(&"#".repeat(LONGEST + 1), "at most 65536");
        refused("[1, 2]", "invalid type");
        refused("a: &a [*a]", "unknown field `a`");
    }
}
