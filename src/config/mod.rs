//! `.deploy-record.yml`: text in, a checked configuration out.
//!
//! Unknown keys and wrong values are errors that name the line, the key, and what to do; nothing is guessed.

mod approval;
mod gitlab;
mod log;
mod meanwhile;
mod places;
mod problem;
mod schema;
mod team;
#[cfg(test)]
mod tests;
mod tree;
mod value;
mod watched;

pub use log::{LogConfig, RedactConfig, RevokedConfig, SignersConfig};
pub use places::EnvironmentConfig;
pub use schema::SCHEMA;
pub use team::{RetentionConfig, TicketConfig};

use crate::core::policy::Rules;
use crate::core::record::Name;
use crate::core::trust::Revocation;
use problem::Problem;
use std::collections::BTreeMap;
use value::Value;

/// Where the configuration stands in a repository.
pub const FILE: &str = ".deploy-record.yml";

/// The most that a configuration may hold, in bytes.
const LONGEST: usize = 64 * 1024;

/// A configuration that can't be used: where, why, and what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ConfigError(String);

/// The configuration, as written and checked. Absent parts have the built-in defaults.
#[derive(Debug, Clone, Default)]
pub struct Config {
    /// The service that the repository is, where that is one.
    pub service: Option<Name>,
    /// Environments by name.
    pub environments: BTreeMap<String, EnvironmentConfig>,
    /// How tickets look.
    pub tickets: TicketConfig,
    /// What is kept, where and for how long.
    pub retention: Vec<RetentionConfig>,
    /// Where the log is.
    pub log: LogConfig,
    /// Who is distrusted.
    pub signers: SignersConfig,
    /// What looks like a secret and is none.
    pub redact: RedactConfig,
    /// The rules by which the gate decides.
    pub rules: Rules,
}

const KEYS: &[&str] = &[
    "service",
    "services",
    "environments",
    "sensitive",
    "emergency",
    "approval",
    "rollback",
    "freeze",
    "log_unreachable",
    "time_zone",
    "holidays",
    "people",
    "tickets",
    "retention",
    "log",
    "signers",
    "redact",
    "publish",
];

impl Config {
    /// Reads and checks the file's text.
    ///
    /// # Errors
    /// Names the line, the key, what is wrong and what to do.
    pub fn parse(text: &str) -> Result<Config, ConfigError> {
        if text.len() > LONGEST {
            return Err(ConfigError(format!("it is {} bytes long; a configuration has at most {LONGEST}", text.len())));
        }
        Config::read(text).map_err(|problem| {
            let line = problem.line.or_else(|| tree::line_of(text, &problem.path));
            ConfigError(Problem { line, ..problem }.to_string())
        })
    }

    fn read(text: &str) -> Result<Config, Problem> {
        let tree = tree::read(text)?;
        let mut config = Config::default();
        config.rules.are_written = true;
        if tree == tree::Node::Nothing {
            return Ok(config);
        }
        let file = Value::root(&tree).section("service: billing-api", KEYS)?;
        gitlab::refuse(&tree)?;
        for part in [places::read, watched::read, approval::read, team::read, log::read] {
            part(&file, &mut config)?;
        }
        approval::check(&file, &config)?;
        Ok(config)
    }

    /// The keys that are distrusted.
    pub fn revocations(&self) -> Vec<Revocation> {
        let revocation = |revoked: &RevokedConfig| Revocation { fingerprint: revoked.key.clone(), after: revoked.after };
        self.signers.revoked.iter().map(revocation).collect()
    }
}
