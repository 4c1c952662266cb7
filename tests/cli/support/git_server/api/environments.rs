//! Environments (docs.gitlab.com/api/environments).

use super::call::{Answer, Call, error, json, message};
use super::paging::page;
use super::state::{Gitlab, timestamp};
use chrono::{DateTime, Utc};
use serde_json::{Value, json as to_json};

/// An environment.
#[derive(Clone, Debug)]
pub struct Environment {
    pub id: u64,
    pub name: String,
    /// Such as `production`, as GitLab guesses it from the name.
    pub tier: String,
    /// `available`, `stopping` or `stopped`.
    pub state: String,
    pub external_url: Option<String>,
    pub created_at: DateTime<Utc>,
}

impl Environment {
    fn slug(&self) -> String {
        let lower = self.name.to_lowercase();
        lower.chars().map(|character| if character.is_ascii_alphanumeric() { character } else { '-' }).collect()
    }

    /// An environment as part of a deployment.
    pub(super) fn basic_json(&self) -> Value {
        to_json!({
            "id": self.id,
            "name": self.name,
            "slug": self.slug(),
            "external_url": self.external_url,
            "created_at": timestamp(self.created_at),
            "updated_at": timestamp(self.created_at),
        })
    }

    fn json(&self) -> Value {
        let mut body = self.basic_json();
        body["tier"] = self.tier.clone().into();
        body["state"] = self.state.clone().into();
        body["auto_stop_at"] = Value::Null;
        body["description"] = Value::Null;
        body
    }
}

impl Gitlab {
    /// The environment of that name, made where it is not there.
    pub fn environment(&mut self, name: &str) -> &mut Environment {
        if !self.environments.iter().any(|known| known.name == name) {
            let id = 9 + self.environments.len() as u64;
            let (tier, state) = (tier(name).to_owned(), "available".to_owned());
            let created_at = self.now();
            self.environments.push(Environment { id, name: name.to_owned(), tier, state, external_url: None, created_at });
        }
        self.environments.iter_mut().find(|known| known.name == name).expect("it was made")
    }
}

/// What GitLab guesses from a name (docs.gitlab.com/ci/environments, "Deployment tier of environments").
fn tier(name: &str) -> &'static str {
    let name = name.to_lowercase();
    let tiers = [
        ("development", &["dev", "review", "trunk"][..]),
        ("testing", &["test", "tst", "qa", "qc"]),
        ("staging", &["st", "model", "pre", "demo", "non-prod"]),
        ("production", &["pr", "live"]),
    ];
    let fits = |words: &[&str]| words.iter().any(|word| name.starts_with(word));
    tiers.into_iter().find(|(_, words)| fits(words)).map_or("other", |(tier, _)| tier)
}

pub fn list(gitlab: &mut Gitlab, call: &Call) -> Answer {
    let (name, search) = (call.text("name"), call.text("search"));
    if name.is_some() && search.is_some() {
        return Err(error(400, "name, search are mutually exclusive"));
    }
    if search.as_ref().is_some_and(|search| search.chars().count() < 3) {
        return Err(message(400, "400 Bad request - Search query is less than 3 characters"));
    }
    let states = call.choice("states", &["", "available", "stopping", "stopped"])?;
    let all = gitlab.environments.iter().filter(|known| {
        (states.is_empty() || known.state == states)
            && name.as_ref().is_none_or(|name| *name == known.name)
            && search.as_ref().is_none_or(|search| known.name.contains(search.as_str()))
    });
    let all: Vec<&Environment> = all.collect();
    page(gitlab, call, &all, |environment| environment.json())
}

pub fn show(gitlab: &mut Gitlab, call: &Call) -> Answer {
    let id = call.number("environment_id")?;
    let environment = gitlab.environments.iter().find(|known| known.id == id);
    let environment = environment.ok_or_else(|| message(404, "404 Not found"))?;
    let of_it = |deployment: &&super::Deployment| deployment.environment == environment.name && deployment.status == "success";
    let last = gitlab.deployments.iter().rev().find(of_it);
    let mut body = environment.json();
    body["last_deployment"] = last.map_or(Value::Null, |deployment| gitlab.deployment_json(deployment));
    Ok(json(200, &body))
}
