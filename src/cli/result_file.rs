//! What became of a record, for later jobs: `deploy-record.env`, a dotenv report (docs.gitlab.com/ci/yaml/artifacts_reports,
//! "artifacts:reports:dotenv").

use super::context::Context;
use super::settings::Settings;
use crate::recorder::{Appended, Kept};
use std::path::PathBuf;

/// The file's name, in the job's checkout.
pub const FILE: &str = "deploy-record.env";

/// Writes it, in a job; a file that can't be written is said, and changes nothing else.
pub fn write(ctx: &Context, settings: &Settings, kept: &Kept) {
    let text = match kept {
        Kept::InLog(Appended::New(receipt)) => recorded(receipt.record.seq),
        Kept::InLog(Appended::Already(seq)) => recorded(*seq),
        Kept::InSpool(_) => "DEPLOY_RECORD_RESULT=spooled\n".to_owned(),
    };
    put(ctx, settings, &text);
}

/// Writes that the record is neither in the log nor in the spool.
pub fn write_lost(ctx: &Context, settings: &Settings) {
    put(ctx, settings, "DEPLOY_RECORD_RESULT=unrecorded\n");
}

fn recorded(seq: u64) -> String {
    format!("DEPLOY_RECORD_RESULT=recorded\nDEPLOY_RECORD_SEQ={seq}\n")
}

fn put(ctx: &Context, settings: &Settings, text: &str) {
    let Some(directory) = settings.ci.as_ref().and_then(|ci| ci.project_dir.as_deref()) else { return };
    let path = PathBuf::from(directory).join(FILE);
    if let Err(error) = std::fs::write(&path, text) {
        ctx.ui.warn(&format!("can't write `{}`: {error}", path.display()));
    }
}
