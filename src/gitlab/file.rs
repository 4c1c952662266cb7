//! Files of a repository (docs.gitlab.com/api/repository_files, "Retrieve a raw file from a repository").

use super::call::{Call, EITHER, READ};
use super::{ApiError, Gitlab};
use crate::http::Deadline;

impl Gitlab {
    /// The content of a file in a commit; `None` where there is none, or the token may not see it.
    ///
    /// # Errors
    /// Where the server can't be reached, or it is larger than 8 MiB.
    pub fn file(&self, path: &str, commit: &str, deadline: Deadline) -> Result<Option<Vec<u8>>, ApiError> {
        let parts = ["projects", &self.project, "repository", "files", path, "raw"];
        let query = [("ref", commit)];
        let call = Call { what: "a file", path: &parts, query: &query, tokens: EITHER, scope: READ };
        match self.get_bytes(&call, deadline) {
            Err(ApiError::Untold { .. } | ApiError::NoToken { .. }) => Ok(None),
            told => told.map(Some),
        }
    }
}
