//! Issues (docs.gitlab.com/api/issues).

use super::call::{Answer, Call, error, json, message};
use super::merge_requests::{has_labels, says};
use super::paging::page;
use super::state::{Gitlab, timestamp};
use crate::support::git_server::http::Response;
use chrono::{DateTime, NaiveDate, Utc};
use serde_json::{Value, json as to_json};

/// What the list can be narrowed and ordered by.
pub const FILTERS: &str = "state labels search in iids author_id assignee_id order_by sort created_after created_before \
    updated_after updated_before scope page per_page";

/// What can be changed, at least one of it at a time.
pub const CHANGES: &str =
    "title description labels add_labels remove_labels assignee_id assignee_ids due_date confidential state_event";

/// An issue.
#[derive(Clone, Debug)]
pub struct Issue {
    /// Its number on the instance.
    pub id: u64,
    /// Its number in the project.
    pub iid: u64,
    pub title: String,
    pub description: Option<String>,
    /// `opened` or `closed`.
    pub state: String,
    pub labels: Vec<String>,
    pub author: u64,
    pub assignees: Vec<u64>,
    /// `YYYY-MM-DD`
    pub due_date: Option<String>,
    pub confidential: bool,
    pub issue_type: String,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
    pub closed_at: Option<DateTime<Utc>>,
    pub closed_by: Option<u64>,
}

impl Gitlab {
    /// Adds an opened issue.
    pub fn issue(&mut self, title: &str, author: u64) -> &mut Issue {
        let (iid, now) = (self.issues.len() as u64 + 1, self.now());
        self.issues.push(Issue {
            id: 6000 + iid,
            iid,
            title: title.to_owned(),
            description: None,
            state: "opened".to_owned(),
            labels: Vec::new(),
            author,
            assignees: Vec::new(),
            due_date: None,
            confidential: false,
            issue_type: "issue".to_owned(),
            created_at: now,
            updated_at: now,
            closed_at: None,
            closed_by: None,
        });
        self.issues.last_mut().expect("one was added")
    }

    /// The place of the issue, where the caller may see it: a confidential one from Planner (15) up, and by those it concerns.
    fn find_issue(&self, call: &Call) -> Result<usize, Response> {
        let iid = call.number("issue_iid")?;
        let found = self.issues.iter().position(|issue| issue.iid == iid && self.shows(issue, call.caller.user()));
        found.ok_or_else(|| message(404, "404 Not found"))
    }

    fn shows(&self, issue: &Issue, user: u64) -> bool {
        !issue.confidential || issue.author == user || issue.assignees.contains(&user) || self.level(user) >= 15
    }

    fn issue_json(&self, issue: &Issue) -> Value {
        let assignees: Vec<Value> = issue.assignees.iter().map(|user| self.basic_user(*user)).collect();
        let reference = format!("#{}", issue.iid);
        to_json!({
            "id": issue.id,
            "iid": issue.iid,
            "project_id": self.project.id,
            "title": issue.title,
            "description": issue.description,
            "state": issue.state,
            "created_at": timestamp(issue.created_at),
            "updated_at": timestamp(issue.updated_at),
            "closed_at": issue.closed_at.map(timestamp),
            "closed_by": self.basic_user(issue.closed_by),
            "labels": issue.labels,
            "milestone": null,
            "assignees": assignees,
            "assignee": assignees.first(),
            "author": self.basic_user(issue.author),
            "type": issue.issue_type.to_uppercase(),
            "user_notes_count": 0,
            "upvotes": 0,
            "downvotes": 0,
            "due_date": issue.due_date,
            "confidential": issue.confidential,
            "discussion_locked": null,
            "issue_type": issue.issue_type,
            "web_url": self.project.web_url(&format!("/-/issues/{}", issue.iid)),
            "references": { "short": reference, "relative": reference, "full": format!("{}{reference}", self.project.path) },
            "severity": "UNKNOWN",
            "imported": false,
            "imported_from": "none",
        })
    }

    /// Sets what the parameters name.
    fn change(&self, issue: &mut Issue, call: &Call) -> Result<(), Response> {
        if let Some(title) = call.text("title") {
            issue.title = title;
        }
        if call.has("description") {
            issue.description = call.text("description");
        }
        if let Some(labels) = call.list("labels") {
            issue.labels = labels;
        }
        if let Some(labels) = call.list("add_labels") {
            issue.labels.extend(labels);
        }
        if let Some(labels) = call.list("remove_labels") {
            issue.labels.retain(|label| !labels.contains(label));
        }
        if let Some(users) = call.numbers(if call.has("assignee_ids") { "assignee_ids" } else { "assignee_id" })? {
            let known = users.into_iter().filter(|user| self.find_user(*user).is_some());
            issue.assignees = known.take(if self.is_premium { usize::MAX } else { 1 }).collect();
        }
        if call.has("due_date") {
            let date = call.text("due_date").filter(|date| !date.is_empty());
            // a date that can't be read is no date, and no error
            issue.due_date = date.filter(|date| NaiveDate::parse_from_str(date, "%Y-%m-%d").is_ok());
        }
        if let Some(confidential) = call.flag("confidential")? {
            issue.confidential = confidential;
        }
        if call.has("issue_type") {
            let known = ["issue", "incident", "test_case", "requirement", "task", "ticket"];
            issue.issue_type = call.choice("issue_type", &known)?.to_owned();
        }
        Ok(())
    }
}

pub fn list(gitlab: &mut Gitlab, call: &Call) -> Answer {
    let state = call.choice("state", &["all", "opened", "closed"])?;
    call.choice("scope", &["all"])?;
    let (authors, assignees, iids) = (call.numbers("author_id")?, call.numbers("assignee_id")?, call.numbers("iids")?);
    let mut found = Vec::new();
    for issue in &gitlab.issues {
        let fits = (state == "all" || issue.state == state)
            && has_labels(call, &issue.labels)
            && says(call, &issue.title, issue.description.as_deref().unwrap_or_default())
            && authors.as_ref().is_none_or(|authors| authors.contains(&issue.author))
            && assignees.as_ref().is_none_or(|wanted| issue.assignees.iter().any(|user| wanted.contains(user)))
            && iids.as_ref().is_none_or(|iids| iids.contains(&issue.iid))
            && call.within("created", Some(issue.created_at))?
            && call.within("updated", Some(issue.updated_at))?
            && gitlab.shows(issue, call.caller.user());
        if fits {
            found.push(issue);
        }
    }
    match call.choice("order_by", &["created_at", "updated_at", "due_date", "title"])? {
        "updated_at" => found.sort_by_key(|issue| (issue.updated_at, issue.id)),
        "due_date" => found.sort_by_key(|issue| (issue.due_date.clone(), issue.id)),
        "title" => found.sort_by_key(|issue| (issue.title.clone(), issue.id)),
        _ => found.sort_by_key(|issue| (issue.created_at, issue.id)),
    }
    if call.choice("sort", &["desc", "asc"])? == "desc" {
        found.reverse();
    }
    page(gitlab, call, &found, |issue| gitlab.issue_json(issue))
}

pub fn show(gitlab: &mut Gitlab, call: &Call) -> Answer {
    let issue = &gitlab.issues[gitlab.find_issue(call)?];
    Ok(json(200, &gitlab.issue_json(issue)))
}

pub fn create(gitlab: &mut Gitlab, call: &Call) -> Answer {
    let title = call.required("title")?;
    let mut issue = gitlab.issue(&title, call.caller.user()).clone();
    gitlab.issues.pop();
    gitlab.change(&mut issue, call)?;
    let answer = json(201, &gitlab.issue_json(&issue));
    gitlab.issues.push(issue);
    Ok(answer)
}

pub fn update(gitlab: &mut Gitlab, call: &Call) -> Answer {
    let at = gitlab.find_issue(call)?;
    let mut issue = gitlab.issues[at].clone();
    if !CHANGES.split(' ').any(|name| call.has(name)) {
        let names = CHANGES.split(' ').collect::<Vec<_>>().join(", ");
        return Err(error(400, &format!("{names} are missing, at least one parameter must be provided")));
    }
    let caller = call.caller.user();
    if issue.author != caller && gitlab.level(caller) < 15 {
        return Err(message(403, "403 Forbidden"));
    }
    gitlab.change(&mut issue, call)?;
    let now = gitlab.after(issue.updated_at);
    match call.choice("state_event", &["", "close", "reopen"])? {
        "close" if issue.state == "opened" => {
            issue.state = "closed".to_owned();
            (issue.closed_at, issue.closed_by) = (Some(now), Some(caller));
        }
        "reopen" if issue.state == "closed" => {
            issue.state = "opened".to_owned();
            (issue.closed_at, issue.closed_by) = (None, None);
        }
        _ => {}
    }
    issue.updated_at = now;
    gitlab.issues[at] = issue;
    show(gitlab, call)
}
