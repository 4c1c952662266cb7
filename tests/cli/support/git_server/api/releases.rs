//! Releases (docs.gitlab.com/api/releases).
//!
//! The list is served from a cache, as GitLab does it: for five minutes a user sees the text of a release in the list as they saw
//! it first. A single release is always as it is.

use super::call::{Answer, Call, json, message, not_found};
use super::commits::{self, find_commit};
use super::paging::page;
use super::state::{Gitlab, timestamp};
use crate::support::git_server::backend::git;
use crate::support::git_server::http::Response;
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json as to_json};
use std::cell::RefCell;
use std::collections::HashMap;

/// The most characters of a description.
const LONGEST: usize = 1_000_000;

/// What users were shown in lists: by user and tag, when and what.
pub type Cache = RefCell<HashMap<(u64, String), (DateTime<Utc>, Value)>>;

/// A release.
#[derive(Clone, Debug)]
pub struct Release {
    pub tag_name: String,
    pub name: String,
    pub description: Option<String>,
    pub author: u64,
    pub created_at: DateTime<Utc>,
    pub released_at: DateTime<Utc>,
    /// The tag's commit.
    pub sha: String,
}

impl Gitlab {
    /// Adds a release as a person does; the tag need not be in the repository.
    pub fn release(&mut self, tag_name: &str, author: u64, description: &str) -> &mut Release {
        let now = self.now();
        let sha = find_commit(&self.project.repository, tag_name).unwrap_or_else(|| "0".repeat(40));
        self.releases.push(Release {
            tag_name: tag_name.to_owned(),
            name: tag_name.to_owned(),
            description: Some(description.to_owned()),
            author,
            created_at: now,
            released_at: now,
            sha,
        });
        self.releases.last_mut().expect("one was added")
    }

    fn find_release(&self, tag_name: &str) -> Option<usize> {
        self.releases.iter().position(|release| release.tag_name == tag_name)
    }

    /// Developers may write releases, and only Maintainers those of protected tags.
    fn may_release(&self, call: &Call, tag_name: &str) -> bool {
        let is_protected = self.project.protected_tags.iter().any(|pattern| match pattern.strip_suffix('*') {
            Some(start) => tag_name.starts_with(start),
            None => pattern == tag_name,
        });
        self.level(call.caller.user()) >= if is_protected { 40 } else { 30 }
    }

    fn release_json(&self, release: &Release) -> Value {
        let commit = commits::describe(&self.project, &release.sha);
        let commit = commit.unwrap_or_else(|| to_json!({ "id": release.sha, "short_id": &release.sha[..8] }));
        let web_url = self.project.web_url(&format!("/-/releases/{}", release.tag_name));
        to_json!({
            "tag_name": release.tag_name,
            "name": release.name,
            "description": release.description,
            "created_at": timestamp(release.created_at),
            "released_at": timestamp(release.released_at),
            "upcoming_release": release.released_at > self.now(),
            "author": self.basic_user(release.author),
            "commit": commit,
            "milestones": [],
            "commit_path": format!("/{}/-/commit/{}", self.project.path, release.sha),
            "tag_path": format!("/{}/-/tags/{}", self.project.path, release.tag_name),
            "assets": { "count": 0, "sources": [], "links": [] },
            "evidences": [],
            "_links": { "self": web_url, "edit_url": format!("{web_url}/edit") },
        })
    }

    fn cached_json(&self, release: &Release, user: u64) -> Value {
        let mut cache = self.release_cache.borrow_mut();
        let place = (user, release.tag_name.clone());
        match cache.get(&place) {
            Some((since, shown)) if self.now() - since < TimeDelta::minutes(5) => shown.clone(),
            _ => {
                let shown = self.release_json(release);
                cache.insert(place, (self.now(), shown.clone()));
                shown
            }
        }
    }
}

pub fn list(gitlab: &mut Gitlab, call: &Call) -> Answer {
    let mut all: Vec<&Release> = gitlab.releases.iter().collect();
    match call.choice("order_by", &["released_at", "created_at"])? {
        "created_at" => all.sort_by_key(|release| release.created_at),
        _ => all.sort_by_key(|release| release.released_at),
    }
    if call.choice("sort", &["desc", "asc"])? == "desc" {
        all.reverse();
    }
    page(gitlab, call, &all, |release| gitlab.cached_json(release, call.caller.user()))
}

pub fn show(gitlab: &mut Gitlab, call: &Call) -> Answer {
    let at = gitlab.find_release(&call.place("tag_name")).ok_or_else(not_found)?;
    Ok(json(200, &gitlab.release_json(&gitlab.releases[at])))
}

pub fn create(gitlab: &mut Gitlab, call: &Call) -> Answer {
    let tag_name = call.required("tag_name")?;
    let description = checked_description(call)?;
    if gitlab.level(call.caller.user()) < 30 {
        return Err(message(403, "403 Forbidden"));
    }
    if !gitlab.may_release(call, &tag_name) {
        return Err(message(403, "You are not allowed to create this tag as it is protected."));
    }
    if gitlab.find_release(&tag_name).is_some() {
        return Err(message(409, "Release already exists"));
    }
    let released_at = call.time("released_at")?;
    let sha = match find_commit(&gitlab.project.repository, &format!("refs/tags/{tag_name}")) {
        Some(sha) => sha,
        None => make_tag(gitlab, call, &tag_name)?,
    };
    let release = gitlab.release(&tag_name, call.caller.user(), "");
    release.sha = sha;
    release.description = description;
    if let Some(name) = call.text("name").filter(|name| !name.is_empty()) {
        release.name = name;
    }
    if let Some(time) = released_at {
        release.released_at = time;
    }
    let release = release.clone();
    Ok(json(201, &gitlab.release_json(&release)))
}

pub fn update(gitlab: &mut Gitlab, call: &Call) -> Answer {
    let tag_name = call.place("tag_name");
    // the right is asked of the release before it is looked for
    let at = gitlab.find_release(&tag_name).filter(|_| gitlab.may_release(call, &tag_name));
    let at = at.ok_or_else(|| message(403, "403 Forbidden"))?;
    if !["name", "description", "released_at"].iter().any(|name| call.has(name)) {
        return Err(message(400, "params is empty"));
    }
    let (description, released_at) = (checked_description(call)?, call.time("released_at")?);
    let release = &mut gitlab.releases[at];
    if call.has("description") {
        release.description = description;
    }
    if let Some(name) = call.text("name") {
        release.name = name;
    }
    if let Some(time) = released_at {
        release.released_at = time;
    }
    let release = release.clone();
    Ok(json(200, &gitlab.release_json(&release)))
}

fn checked_description(call: &Call) -> Result<Option<String>, Response> {
    let description = call.text("description");
    if description.as_ref().is_some_and(|text| text.chars().count() > LONGEST) {
        let problem = format!("is too long (maximum is {LONGEST} characters)");
        return Err(json(400, &to_json!({ "message": { "description": [problem] } })));
    }
    Ok(description)
}

/// Makes the tag in the repository, at the parameter `ref`; gives its commit.
fn make_tag(gitlab: &Gitlab, call: &Call, tag_name: &str) -> Result<String, Response> {
    let reference = call.text("ref").filter(|reference| !reference.is_empty());
    let reference = reference.ok_or_else(|| message(422, "Ref is not specified"))?;
    let repository = &gitlab.project.repository;
    let sha = find_commit(repository, &reference);
    let sha = sha.ok_or_else(|| message(400, &format!("Target {reference} is invalid")))?;
    let name = format!("refs/tags/{tag_name}");
    let made = git(repository).args(["update-ref", "--", &name, &sha]).status();
    let is_made = made.is_ok_and(|status| status.success());
    if is_made { Ok(sha) } else { Err(message(400, "Tag name invalid")) }
}
