//! Services and environments.

use super::Config;
use super::problem::Problem;
use super::value::{Section, Value, near};
use crate::core::policy::{ApprovalFor, Freeze, Globs, Unreachable};
use crate::core::record::{Name, Tier};

/// An environment that is recorded.
#[derive(Debug, Clone, Default)]
pub struct EnvironmentConfig {
    /// Its tier; by default what CI says, else what its name suggests.
    pub tier: Option<Tier>,
}

const SERVICES: &str = "{ api: { paths: [\"api/**\"] } }";
const SERVICE: &str = "{ paths: [\"api/**\"] }";
const ENVIRONMENTS: &str = "{ production: { tier: production } }";
const ENVIRONMENT: &str = "{ tier: production, approval_for: sensitive }";
const FREEZES: &str = "[ { from: \"Fri 16:00\", to: \"Mon 07:00\" } ]";
const FREEZE: &str = "{ from: \"Fri 16:00\", to: \"Mon 07:00\" }";
const UNREACHABLE: &str = "{ routine: go, sensitive: stop, emergency: go }";

/// Reads them, with what holds for an environment at times.
pub fn read(file: &Section, config: &mut Config) -> Result<(), Problem> {
    services(file, config)?;
    environments(file, config)?;
    for value in file.get("freeze").map(|freezes| freezes.list(FREEZES)).transpose()?.unwrap_or_default() {
        let freeze = freeze(&value, config)?;
        config.rules.freezes.push(freeze);
    }
    unreachable(file, config)
}

fn services(file: &Section, config: &mut Config) -> Result<(), Problem> {
    config.service = file.get("service").map(|service| service.parsed("billing-api")).transpose()?;
    let Some(services) = file.get("services") else { return Ok(()) };
    if config.service.is_some() {
        return Err(services.wrong("stands beside `service`; keep `service` where the repository is one, else `services`"));
    }
    for (name, service) in services.named(SERVICES)? {
        let paths = service.section(SERVICE, &["paths"])?.required("paths", SERVICE)?;
        config.rules.services.insert(name, globs(&paths)?);
    }
    Ok(())
}

/// Patterns for paths, at least one.
pub(super) fn globs(paths: &Value) -> Result<Globs, Problem> {
    let mut globs = Globs::default();
    for pattern in paths.full_list("[\"api/**\"]")? {
        globs.add(pattern.text("api/**")?).map_err(|problem| pattern.wrong(problem))?;
    }
    Ok(globs)
}

fn environments(file: &Section, config: &mut Config) -> Result<(), Problem> {
    let Some(environments) = file.get("environments") else { return Ok(()) };
    for (name, environment) in environments.named(ENVIRONMENTS)? {
        let (mut tier, mut asked) = (None, ApprovalFor::Sensitive);
        if !environment.is_nothing() {
            let section = environment.section(ENVIRONMENT, &["tier", "approval_for"])?;
            tier = section.get("tier").map(|tier| tier.word(Tier::ALL)).transpose()?;
            asked = section.get("approval_for").map(|asked| asked.word(ApprovalFor::ALL)).transpose()?.unwrap_or(asked);
        }
        config.environments.insert(name.to_string(), EnvironmentConfig { tier });
        config.rules.environments.insert(name, asked);
    }
    Ok(())
}

fn freeze(value: &Value, config: &Config) -> Result<Freeze, Problem> {
    let section = value.section(FREEZE, &["from", "to", "environments"])?;
    let edges = [section.required("from", FREEZE)?, section.required("to", FREEZE)?];
    let (from, to) = (edges[0].text("Fri 16:00")?, edges[1].text("Fri 16:00")?);
    let mut names: Vec<Name> = Vec::new();
    let environments = section.get("environments").map(|names| names.full_list("[production]")).transpose()?;
    for value in environments.unwrap_or_default() {
        let name = value.parsed("production")?;
        value.refuse_second(&names, &name)?;
        refuse_unknown(&value, &name, config)?;
        names.push(name);
    }
    Freeze::new(from, to, names).map_err(|problem| {
        let wrong = edges.iter().zip([from, to]).find(|(_, text)| problem.ends_with(&format!("found `{text}`")));
        wrong.map_or(value, |(edge, _)| edge).wrong(problem)
    })
}

/// A misspelt environment would never be frozen.
fn refuse_unknown(value: &Value, name: &Name, config: &Config) -> Result<(), Problem> {
    if config.environments.is_empty() || config.environments.contains_key(name.as_str()) {
        return Ok(());
    }
    let known: Vec<_> = config.environments.keys().map(String::as_str).collect();
    let near = near(name.as_str(), &known);
    Err(value.wrong(format!("`{name}` is none of the file's `environments`{near}; or add it there")))
}

fn unreachable(file: &Section, config: &mut Config) -> Result<(), Problem> {
    let Some(value) = file.get("log_unreachable") else { return Ok(()) };
    let section = value.section(UNREACHABLE, &["routine", "sensitive", "emergency"])?;
    let unreachable = &mut config.rules.unreachable;
    for (key, target) in [
        ("routine", &mut unreachable.routine),
        ("sensitive", &mut unreachable.sensitive),
        ("emergency", &mut unreachable.emergency),
    ] {
        if let Some(value) = section.get(key) {
            *target = value.word(Unreachable::ALL)?;
        }
    }
    Ok(())
}
