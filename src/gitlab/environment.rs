//! Environments (docs.gitlab.com/api/environments).

use super::answer::{Answer, Fields};
use super::call::{Call, EITHER, READ};
use super::{ApiError, Gitlab};
use crate::http::Deadline;

/// An environment.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Environment {
    name: String,
    tier: Option<String>,
}

impl Answer for Environment {
    fn read(fields: Fields) -> Result<Self, String> {
        Ok(Environment { name: fields.text("name")?, tier: fields.optional_text("tier")? })
    }
}

impl Gitlab {
    /// The tier of an environment, such as `production`; `None` where there is no environment of that name, or GitLab does not tell.
    ///
    /// # Errors
    /// As [`ApiError`] says.
    pub fn tier(&self, name: &str, deadline: Deadline) -> Result<Option<String>, ApiError> {
        let path = ["projects", &self.project, "environments"];
        let query = [("name", name)];
        let call = Call { what: "about an environment", path: &path, query: &query, tokens: EITHER, scope: READ };
        let found: Vec<Environment> = self.first(&call, deadline)?;
        Ok(found.into_iter().find(|environment| environment.name == name).and_then(|environment| environment.tier))
    }
}
