//! Merge requests (docs.gitlab.com/api/merge_requests).

use super::call::{Answer, Call, json, message};
use super::paging::page;
use super::state::{Gitlab, timestamp};
use crate::support::git_server::http::Response;
use chrono::{DateTime, Utc};
use serde_json::{Value, json as to_json};

/// What lists of merge requests can be narrowed and ordered by.
pub const FILTERS: &str = "state order_by sort updated_after updated_before created_after created_before source_branch \
    target_branch labels author_id author_username iids search in view scope page per_page";

/// A merge request.
#[derive(Clone, Debug)]
pub struct MergeRequest {
    /// Its number on the instance.
    pub id: u64,
    /// Its number in the project.
    pub iid: u64,
    pub title: String,
    pub description: String,
    /// `opened`, `closed`, `locked` or `merged`.
    pub state: String,
    pub author: u64,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
    pub merged_at: Option<DateTime<Utc>>,
    pub merge_user: Option<u64>,
    pub source_branch: String,
    pub target_branch: String,
    pub labels: Vec<String>,
    /// The head of the source branch.
    pub sha: String,
    pub merge_commit_sha: Option<String>,
    pub squash_commit_sha: Option<String>,
    /// Further commits that it brought.
    pub commits: Vec<String>,
    pub approvals: Vec<Approval>,
}

/// A press of the button Approve.
#[derive(Clone, Debug)]
pub struct Approval {
    pub user: u64,
    pub approved_at: DateTime<Utc>,
}

impl MergeRequest {
    /// Whether it brought the commit.
    pub(super) fn has(&self, sha: &str) -> bool {
        let merged = [&self.merge_commit_sha, &self.squash_commit_sha].into_iter().flatten();
        self.commits.iter().chain([&self.sha]).chain(merged).any(|commit| commit == sha)
    }
}

impl Gitlab {
    /// Adds an opened merge request from a branch of its own to `main`.
    pub fn merge_request(&mut self, iid: u64, author: u64) -> &mut MergeRequest {
        let now = self.now();
        self.merge_requests.push(MergeRequest {
            id: 4000 + iid,
            iid,
            title: format!("Change {iid}"),
            description: String::new(),
            state: "opened".to_owned(),
            author,
            created_at: now,
            updated_at: now,
            merged_at: None,
            merge_user: None,
            source_branch: format!("change-{iid}"),
            target_branch: "main".to_owned(),
            labels: Vec::new(),
            sha: format!("{iid:040x}"),
            merge_commit_sha: None,
            squash_commit_sha: None,
            commits: Vec::new(),
            approvals: Vec::new(),
        });
        self.merge_requests.last_mut().expect("one was added")
    }

    /// # Panics
    /// If there is no such merge request.
    pub fn merge_request_mut(&mut self, iid: u64) -> &mut MergeRequest {
        let found = self.merge_requests.iter_mut().find(|merge_request| merge_request.iid == iid);
        found.unwrap_or_else(|| panic!("there is no merge request !{iid}"))
    }

    /// Merges it, with a merge commit that mentions it.
    pub fn merge(&mut self, iid: u64, by: u64, merge_commit_sha: &str) {
        let now = self.now();
        let merge_request = self.merge_request_mut(iid);
        merge_request.state = "merged".to_owned();
        merge_request.merged_at = Some(now);
        merge_request.merge_user = Some(by);
        merge_request.merge_commit_sha = Some(merge_commit_sha.to_owned());
        merge_request.updated_at = now;
        self.system_note(iid, by, &format!("mentioned in commit {merge_commit_sha}"));
    }

    /// Brings a commit to its source branch.
    pub fn push(&mut self, iid: u64, user: u64, sha: &str) {
        let now = self.now();
        let merge_request = self.merge_request_mut(iid);
        let earlier = std::mem::replace(&mut merge_request.sha, sha.to_owned());
        merge_request.commits.push(earlier);
        merge_request.updated_at = now;
        let (short, versions) = (&sha[..8], self.project.web_url(&format!("/-/merge_requests/{iid}/diffs?diff_id=2")));
        let list = format!("<ul><li>{short} - A further commit</li></ul>");
        self.system_note(iid, user, &format!("added 1 commit\n\n{list}\n\n[Compare with previous version]({versions})"));
        if self.resets_approvals {
            self.reset_approvals(iid, user);
        }
    }

    pub(super) fn find_merge_request(&self, call: &Call) -> Result<&MergeRequest, Response> {
        let iid = call.number("merge_request_iid")?;
        let found = self.merge_requests.iter().find(|merge_request| merge_request.iid == iid);
        found.ok_or_else(|| message(404, "404 Not found"))
    }

    pub(super) fn merge_request_json(&self, merge_request: &MergeRequest) -> Value {
        let reference = format!("!{}", merge_request.iid);
        let comments = self.notes.iter().filter(|note| note.merge_request == merge_request.iid && !note.system);
        let merge_user = self.basic_user(merge_request.merge_user);
        let mut body = to_json!({
            "id": merge_request.id,
            "iid": merge_request.iid,
            "project_id": self.project.id,
            "title": merge_request.title,
            "description": merge_request.description,
            "state": merge_request.state,
            "created_at": timestamp(merge_request.created_at),
            "updated_at": timestamp(merge_request.updated_at),
            "merged_by": merge_user,
            "merge_user": merge_user,
            "merged_at": merge_request.merged_at.map(timestamp),
            "closed_by": null,
            "closed_at": null,
            "target_branch": merge_request.target_branch,
            "source_branch": merge_request.source_branch,
            "user_notes_count": comments.count(),
        });
        let rest = to_json!({
            "upvotes": 0,
            "downvotes": 0,
            "author": self.basic_user(merge_request.author),
            "assignees": [],
            "assignee": null,
            "reviewers": [],
            "source_project_id": self.project.id,
            "target_project_id": self.project.id,
            "labels": merge_request.labels,
            "draft": merge_request.title.starts_with("Draft:"),
            "work_in_progress": merge_request.title.starts_with("Draft:"),
            "milestone": null,
            "merge_when_pipeline_succeeds": false,
            "merge_status": "can_be_merged",
            "detailed_merge_status": if merge_request.state == "merged" { "not_open" } else { "mergeable" },
            "sha": merge_request.sha,
            "merge_commit_sha": merge_request.merge_commit_sha,
            "squash_commit_sha": merge_request.squash_commit_sha,
            "discussion_locked": null,
            "should_remove_source_branch": null,
            "force_remove_source_branch": true,
            "prepared_at": timestamp(merge_request.created_at),
            "reference": reference,
            "references": { "short": reference, "relative": reference, "full": format!("{}{reference}", self.project.path) },
            "web_url": self.project.web_url(&format!("/-/merge_requests/{}", merge_request.iid)),
            "squash": merge_request.squash_commit_sha.is_some(),
            "has_conflicts": false,
            "blocking_discussions_resolved": true,
            "imported": false,
            "imported_from": "none",
        });
        if let (Value::Object(body), Value::Object(rest)) = (&mut body, rest) {
            body.extend(rest);
        }
        body
    }
}

pub fn list(gitlab: &mut Gitlab, call: &Call) -> Answer {
    let all = gitlab.merge_requests.iter().collect();
    answer_list(gitlab, call, all)
}

pub fn show(gitlab: &mut Gitlab, call: &Call) -> Answer {
    let merge_request = gitlab.find_merge_request(call)?;
    let mut body = gitlab.merge_request_json(merge_request);
    body["subscribed"] = false.into();
    body["changes_count"] = "1".into();
    body["merge_error"] = Value::Null;
    body["user"] = to_json!({ "can_merge": gitlab.level(call.caller.user()) >= 30 });
    body["diff_refs"] = to_json!({ "base_sha": null, "head_sha": merge_request.sha, "start_sha": null });
    Ok(json(200, &body))
}

/// Those that the parameters leave, in the order that they ask for.
pub fn answer_list(gitlab: &Gitlab, call: &Call, all: Vec<&MergeRequest>) -> Answer {
    let state = call.choice("state", &["all", "opened", "closed", "locked", "merged"])?;
    call.choice("scope", &["all"])?;
    let (source, target) = (call.text("source_branch"), call.text("target_branch"));
    let (authors, iids) = (call.numbers("author_id")?, call.numbers("iids")?);
    let author_name = call.text("author_username");
    let mut found = Vec::new();
    for merge_request in all {
        let author = gitlab.find_user(merge_request.author).map(|user| &user.username);
        let fits = (state == "all" || merge_request.state == state)
            && call.within("updated", Some(merge_request.updated_at))?
            && call.within("created", Some(merge_request.created_at))?
            && source.as_ref().is_none_or(|branch| *branch == merge_request.source_branch)
            && target.as_ref().is_none_or(|branch| *branch == merge_request.target_branch)
            && authors.as_ref().is_none_or(|authors| authors.contains(&merge_request.author))
            && author_name.as_ref().is_none_or(|name| Some(name) == author)
            && iids.as_ref().is_none_or(|iids| iids.contains(&merge_request.iid))
            && has_labels(call, &merge_request.labels)
            && says(call, &merge_request.title, &merge_request.description);
        if fits {
            found.push(merge_request);
        }
    }
    let order = call.choice("order_by", &["created_at", "updated_at", "merged_at", "title"])?;
    found.sort_by(|one, other| {
        let by = match order {
            "updated_at" => one.updated_at.cmp(&other.updated_at),
            "merged_at" => one.merged_at.cmp(&other.merged_at),
            "title" => one.title.cmp(&other.title),
            _ => one.created_at.cmp(&other.created_at),
        };
        by.then(one.id.cmp(&other.id))
    });
    if call.choice("sort", &["desc", "asc"])? == "desc" {
        found.reverse();
    }
    let is_simple = call.choice("view", &["", "simple"])? == "simple";
    page(gitlab, call, &found, |merge_request| {
        let mut body = gitlab.merge_request_json(merge_request);
        if let (true, Value::Object(fields)) = (is_simple, &mut body) {
            const SIMPLE: [&str; 9] =
                ["id", "iid", "project_id", "title", "description", "state", "created_at", "updated_at", "web_url"];
            fields.retain(|name, _| SIMPLE.contains(&name.as_str()));
        }
        body
    })
}

/// The parameter `labels`: all of these, or `Any`, or `None`.
pub fn has_labels(call: &Call, labels: &[String]) -> bool {
    let Some(wanted) = call.list("labels") else { return true };
    match wanted.as_slice() {
        [word] if word.eq_ignore_ascii_case("none") => labels.is_empty(),
        [word] if word.eq_ignore_ascii_case("any") => !labels.is_empty(),
        wanted => wanted.iter().all(|label| labels.contains(label)),
    }
}

/// The parameters `search` and `in`: all words in the title or the description.
pub fn says(call: &Call, title: &str, description: &str) -> bool {
    let Some(search) = call.text("search") else { return true };
    let places = call.text("in").unwrap_or_else(|| "title,description".to_owned());
    let mut text = String::new();
    for (place, part) in [("title", title), ("description", description)] {
        if places.split(',').any(|wanted| wanted == place) {
            text.push_str(&part.to_lowercase());
            text.push('\n');
        }
    }
    let mut words = search.split_whitespace();
    words.all(|word| text.contains(&word.trim_matches('"').to_lowercase()))
}
