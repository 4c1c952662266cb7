//! Issues (docs.gitlab.com/api/issues).

use super::answer::{Answer, Fields};
use super::call::{ACCESS, Call, READ, WRITE};
use super::{ApiError, Gitlab, User};
use crate::http::Deadline;
use reqwest::Method;
use serde_json::json;

/// The most pages of issues that are read.
const MOST_PAGES: u32 = 3;

/// An issue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Issue {
    /// Its number in the project.
    pub iid: u64,
    /// The project.
    pub project_id: Option<u64>,
    /// `opened` or `closed`.
    pub state: String,
    /// Its text, Markdown.
    pub description: Option<String>,
    /// Who is to see to it.
    pub assignees: Vec<User>,
    /// Its page.
    pub web_url: Option<String>,
}

impl Answer for Issue {
    fn read(fields: Fields) -> Result<Self, String> {
        Ok(Issue {
            iid: fields.number("iid")?,
            project_id: fields.number("project_id").ok(),
            state: fields.text("state")?,
            description: fields.optional_text("description")?,
            assignees: fields.parts("assignees")?,
            web_url: fields.optional_text("web_url")?,
        })
    }
}

/// An issue that is to be made.
#[derive(Debug, Clone, Copy)]
pub struct NewIssue<'a> {
    /// Its title, at most 255 characters.
    pub title: &'a str,
    /// Its text, Markdown.
    pub description: &'a str,
    /// The day by which it is to be done, `YYYY-MM-DD`.
    pub due_date: Option<&'a str>,
    /// The number of the user who is to see to it.
    pub assignee: Option<u64>,
}

impl Gitlab {
    /// The project's issues, open and closed, whose description has this word, the oldest first. GitLab finds words and their
    /// beginnings; whether it is the very word is for the caller to see.
    ///
    /// # Errors
    /// As [`ApiError`] says; an access token is needed.
    pub fn issues_with(&self, word: &str, deadline: Deadline) -> Result<Vec<Issue>, ApiError> {
        let path = ["projects", &self.project, "issues"];
        let query = [("search", word), ("in", "description"), ("state", "all"), ("order_by", "created_at"), ("sort", "asc")];
        let call = Call { what: "its issues", path: &path, query: &query, tokens: ACCESS, scope: READ };
        self.list(&call, MOST_PAGES, deadline)
    }

    /// Makes an issue.
    ///
    /// # Errors
    /// As [`ApiError`] says; an access token is needed.
    pub fn create_issue(&self, issue: &NewIssue, deadline: Deadline) -> Result<Issue, ApiError> {
        let path = ["projects", &self.project, "issues"];
        let call = Call { what: "to make an issue", path: &path, query: &[], tokens: ACCESS, scope: WRITE };
        let mut body = json!({ "title": issue.title, "description": issue.description });
        if let Some(due_date) = issue.due_date {
            body["due_date"] = json!(due_date);
        }
        if let Some(assignee) = issue.assignee {
            body["assignee_ids"] = json!([assignee]);
        }
        self.write(&call, &Method::POST, &body, deadline)
    }

    /// Whether an answer is about the project that is asked, as far as its number tells.
    pub fn is_own_project(&self, id: Option<u64>) -> bool {
        let own = self.project.parse::<u64>().ok();
        own.zip(id).is_none_or(|(own, id)| own == id)
    }
}
