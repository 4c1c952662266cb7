//! Comments of merge requests, those that GitLab itself writes among them (docs.gitlab.com/api/notes).

use super::answer::{Answer, Fields};
use super::call::{ACCESS, Call, EITHER, READ, WRITE};
use super::{ApiError, Gitlab, User};
use crate::http::Deadline;
use chrono::{DateTime, Utc};
use reqwest::Method;
use serde_json::json;

/// The most pages of one merge request's comments that are read.
const MOST_PAGES: u32 = 50;

/// A comment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// Its number; numbers of a server only grow.
    pub id: u64,
    /// Its text, Markdown.
    pub body: String,
    /// Who wrote it.
    pub author: Option<User>,
    /// When; owners of a project may say what they like here.
    pub created_at: DateTime<Utc>,
    /// When it was changed last.
    pub updated_at: Option<DateTime<Utc>>,
    /// Whether GitLab itself wrote it.
    pub system: bool,
    /// Whether only members see it.
    pub internal: bool,
    /// Whether it came with an import.
    pub imported: bool,
}

impl Answer for Note {
    fn read(fields: Fields) -> Result<Self, String> {
        let is = |name: &str| fields.flag(name).map(Option::unwrap_or_default);
        Ok(Note {
            id: fields.number("id")?,
            body: fields.optional_text("body")?.unwrap_or_default(),
            author: fields.part("author")?,
            created_at: fields.time("created_at")?.ok_or("`created_at` is missing")?,
            updated_at: fields.time("updated_at")?,
            system: is("system")?,
            // older servers say `confidential`
            internal: is("internal")? || is("confidential")?,
            imported: is("imported")?,
        })
    }
}

impl Gitlab {
    /// All comments of a merge request, in the order of their numbers.
    ///
    /// # Errors
    /// As [`ApiError`] says.
    pub fn notes(&self, iid: u64, deadline: Deadline) -> Result<Vec<Note>, ApiError> {
        let iid = iid.to_string();
        let path = ["projects", &self.project, "merge_requests", &iid, "notes"];
        let query = [("sort", "asc"), ("order_by", "created_at")];
        let call = Call { what: "the comments of a merge request", path: &path, query: &query, tokens: EITHER, scope: READ };
        let mut notes: Vec<Note> = self.list(&call, MOST_PAGES, deadline)?;
        notes.sort_by_key(|note| note.id);
        // one that comes while pages are read may be on two of them
        notes.dedup_by_key(|note| note.id);
        Ok(notes)
    }

    /// Comments on a merge request.
    ///
    /// # Errors
    /// As [`ApiError`] says; an access token is needed.
    pub fn add_note(&self, iid: u64, body: &str, deadline: Deadline) -> Result<Note, ApiError> {
        let iid = iid.to_string();
        let path = ["projects", &self.project, "merge_requests", &iid, "notes"];
        let call = Call { what: "to comment on a merge request", path: &path, query: &[], tokens: ACCESS, scope: WRITE };
        self.write(&call, &Method::POST, &json!({ "body": body }), deadline)
    }
}
