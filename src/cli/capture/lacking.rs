//! Whether the log holds what GitLab shows: one that was rewound or deleted at the server looks like any other from inside.

use super::Delivery;
use super::deployment::{self, Listed};
use crate::cli::api;
use crate::cli::context::Context;
use crate::cli::settings::{Settings, TRUST_ROOT};
use crate::core::record::{CommitId, Job, Name, Record, Status};
use crate::core::state::{Place, Rendered, State};
use crate::core::time::readable;
use crate::gitlab::Gitlab;
use crate::http::Deadline;
use crate::recorder::{Known, RecordError};

/// Where a pipeline is configured, unless the project says otherwise.
const PIPELINE: &str = ".gitlab-ci.yml";

impl Delivery {
    /// Refuses a log that lacks the newest deployment there that a job made which records its deployments.
    ///
    /// # Errors
    /// [`RecordError::Lacks`].
    pub(super) fn refuse_lacking(&self, known: &Known, ctx: &Context, settings: &Settings) -> Result<(), RecordError> {
        let search =
            Search { environment: &self.environment.name, job: self.job.as_ref(), listed: &self.listed, ctx, settings };
        search.refuse(known)
    }
}

/// As for a deployment, for the record of one that waited.
///
/// # Errors
/// [`RecordError::Lacks`].
pub fn refuse_lacking(record: &Record, known: &Known, ctx: &Context, settings: &Settings) -> Result<(), RecordError> {
    let Some(environment) = record.environment.as_ref().map(|environment| &environment.name) else { return Ok(()) };
    let listed = deployment::that_went_well(environment, ctx, settings);
    Search { environment, job: record.job.as_ref(), listed: &listed, ctx, settings }.refuse(known)
}

/// The log is searched for what GitLab lists.
struct Search<'a> {
    environment: &'a Name,
    /// The job for which it is searched.
    job: Option<&'a Job>,
    listed: &'a [Listed],
    ctx: &'a Context,
    settings: &'a Settings,
}

impl Search<'_> {
    fn refuse(&self, known: &Known) -> Result<(), RecordError> {
        let Some(listed) = self.newest_made(known) else { return Ok(()) };
        let is_lacking = match known.tip.as_ref().map(|tip| (&tip.state, tip.newest.record())) {
            Some((state, newest)) => {
                let is_later = listed.ended >= state.recorded_at && listed.began >= state.since;
                is_later && !self.holds(state, listed, newest)
            }
            None => self.knew_the_log(listed),
        };
        match is_lacking {
            false => Ok(()),
            true => Err(RecordError::Lacks {
                log: known.log(),
                is_there: known.tip.is_some(),
                shown: format!(
                    "a deployment of {} to {} by job {} that went well, {}",
                    listed.sha.short(),
                    self.environment,
                    listed.job,
                    readable(listed.ended.utc())
                ),
                environment: self.environment.clone(),
                sha: listed.sha.clone(),
            }),
        }
    }

    /// The newest of those that went well, by a job of this name, or of the name of the one that recorded last: of another job
    /// nobody knows whether it records what it deploys.
    fn newest_made(&self, known: &Known) -> Option<&Listed> {
        let own = self.job?;
        let last = known.tip.as_ref().and_then(|tip| tip.newest.record().job.as_ref());
        let names = [own.name.as_ref(), last.and_then(|job| job.name.as_ref())];
        let is_meant = |listed: &&Listed| Some(listed.job) != own.id && names.contains(&Some(&listed.name));
        self.listed.iter().filter(is_meant).max_by_key(|listed| listed.id)
    }

    /// Whether the log has it: as what runs or went well there, by its commit, or by its job.
    fn holds(&self, state: &State, listed: &Listed, newest: &Record) -> bool {
        let is_here = |place: &&Rendered<Place>| place.environment == *self.environment;
        let has = |sha: &Option<CommitId>| sha.as_ref() == Some(&listed.sha);
        let by_place = state.places.iter().filter(is_here).any(|place| {
            let open = place.open.iter().any(|open| open.job == Some(listed.job));
            open || place.runs.as_ref().is_some_and(|runs| has(&runs.sha)) || place.good.iter().any(|good| has(&good.sha))
        });
        let is_of_job = |record: &Record| record.job.as_ref().and_then(|job| job.id) == Some(listed.job);
        by_place || (is_of_job(newest) && newest.status != Some(Status::Running))
    }

    /// Whether that deployment was made when the project had a trust root and a pipeline with this program: then there was a log.
    fn knew_the_log(&self, listed: &Listed) -> bool {
        let Some(gitlab) = self.settings.gitlab.as_deref() else { return false };
        let deadline = api::deadline(self.ctx);
        let file = |path: &str| file(path, &listed.sha, gitlab, deadline, self.settings);
        let is_set_up = file(TRUST_ROOT).is_some();
        let pipeline = || file(PIPELINE);
        is_set_up && pipeline().is_none_or(|text| String::from_utf8_lossy(&text).contains("deploy-record"))
    }
}

/// A file of an earlier commit, from the checkout or else from GitLab.
fn file(path: &str, sha: &CommitId, gitlab: &Gitlab, deadline: Deadline, settings: &Settings) -> Option<Vec<u8>> {
    match settings.checkout.as_ref().filter(|checkout| checkout.has(sha)) {
        Some(checkout) => checkout.read_file(sha, path).ok().flatten(),
        None => gitlab.file(path, sha.as_str(), deadline).ok().flatten(),
    }
}
