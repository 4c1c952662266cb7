//! Where to: environment, service and project; and what is no deployment at all.

use super::DeliveryArgs;
use crate::ci::{CiFacts, guess_tier};
use crate::cli::context::Context;
use crate::cli::exit::Failure;
use crate::cli::settings::Settings;
use crate::core::nearest;
use crate::core::record::{Environment, Line, Name, Project, Tier};
use crate::core::state::{PlaceKey, State};
use crate::repo::Checkout;
use anyhow::anyhow;

/// Where to, without what.
pub struct Target {
    environment: Name,
    service: Option<Name>,
    project: Option<Project>,
}

impl Target {
    /// What flags, variables and git say.
    ///
    /// # Errors
    /// Where a flag makes no sense, or the environment is not known.
    pub fn gather(args: &DeliveryArgs, ctx: &Context, settings: &Settings) -> Result<Target, Failure> {
        let project = project(args, settings.ci.as_ref(), settings.checkout.as_ref());
        Ok(Target { environment: environment(args, ctx, settings)?.name, service: service(args, settings)?, project })
    }

    /// Its place in a log with this state.
    pub fn key(&self, state: Option<&State>) -> PlaceKey {
        let project = project_in(self.project.clone(), state);
        PlaceKey::new(project.as_ref(), self.service.as_ref(), &self.environment)
    }

    /// It in words.
    pub fn words(&self) -> String {
        let service = self.service.as_ref().map(|service| format!(", service {service}")).unwrap_or_default();
        format!("{}{service}", self.environment)
    }
}

/// The project; one that is only known by its path has the number that the log knows for that path.
pub fn project_in(project: Option<Project>, state: Option<&State>) -> Option<Project> {
    let mut project = project?;
    if let (None, Some(path)) = (project.id, &project.path) {
        project.id = state.and_then(|state| state.project_at(path));
    }
    Some(project)
}

pub(super) fn environment(args: &DeliveryArgs, ctx: &Context, settings: &Settings) -> Result<Environment, Failure> {
    let of_job = settings.ci.as_ref().and_then(|ci| ci.environment.as_ref());
    let name = match (&args.environment, of_job) {
        (Some(name), _) => {
            Name::new(name.as_str()).map_err(|problem| Failure::usage(anyhow!("--environment: it {problem}")))?
        }
        (None, Some(environment)) => environment.name.clone(),
        (None, None) => {
            let answer = ctx.ui.ask("Which environment (such as production)? ").map_err(Failure::unable)?;
            let answer = answer.ok_or_else(|| {
                Failure::usage(anyhow!(
                    "which environment? --environment is missing, and this is no job with an `environment:`"
                ))
                .hint("name it with --environment, such as `--environment staging`")
            })?;
            Name::new(answer).map_err(|problem| Failure::usage(anyhow!("the environment's name {problem}")))?
        }
    };
    let of_job = of_job.filter(|environment| environment.name == name);
    let environments = &settings.config.environments;
    if of_job.is_none() && !environments.is_empty() && !environments.contains_key(name.as_str()) {
        let known: Vec<_> = environments.keys().map(String::as_str).collect();
        ctx.ui.warn(&format!("`{name}` is none of the environments in `.deploy-record.yml`: {}", known.join(", ")));
    }
    let configured = settings.config.environments.get(name.as_str()).and_then(|environment| environment.tier);
    let tier = configured.or(of_job.map(|environment| environment.tier)).unwrap_or_else(|| guess_tier(name.as_str()));
    Ok(Environment { name, tier, url: of_job.and_then(|environment| environment.url.clone()), newer: Default::default() })
}

/// Why this job's run is no deployment that is recorded; `None` where it is one.
///
/// # Errors
/// Where a variable says so, and GitLab says otherwise.
pub fn not_recorded(args: &DeliveryArgs, ctx: &Context, settings: &Settings) -> Result<Option<String>, Failure> {
    let Some(environment) = settings.ci.as_ref().and_then(|ci| ci.environment.as_ref()) else { return Ok(None) };
    let is_jobs_own = args.environment.as_deref().is_none_or(|name| name == environment.name.as_str());
    // who names an environment that the policy names means it, whatever a variable says of the job
    let is_meant = args.environment.as_ref().is_some_and(|name| settings.config.environments.contains_key(name));
    if is_jobs_own && !is_meant && !environment.is_deployment() {
        let action = environment.action.as_deref().unwrap_or_default();
        super::deployment::refuse_denial(ctx, settings)?;
        return Ok(Some(format!("the job's environment action is `{action}`, so this is no deployment")));
    }
    if args.environment.is_some() {
        return Ok(None);
    }
    let named = settings.config.environments.contains_key(environment.name.as_str());
    let by_custom = matches!(environment.tier, Tier::Production | Tier::Staging);
    if named || by_custom {
        return Ok(None);
    }
    super::deployment::refuse_tier(&environment.name, environment.tier, ctx, settings)?;
    Ok(Some(format!(
        "`{}` has tier {}, which is recorded only where the configuration or --environment names it",
        environment.name, environment.tier
    )))
}

/// The service: what is given, else the one that the repository is. One of several has to be named.
pub(super) fn service(args: &DeliveryArgs, settings: &Settings) -> Result<Option<Name>, Failure> {
    let given = args.service.as_deref().map(Name::new).transpose();
    let given = given.map_err(|problem| Failure::usage(anyhow!("--service: it {problem}")))?;
    let services = &settings.config.rules.services;
    let names = || services.keys().map(Name::as_str).collect::<Vec<_>>();
    match given {
        Some(name) if services.is_empty() => match &settings.config.service {
            Some(own) if *own != name => {
                Err(Failure::usage(anyhow!("--service: `{name}` is not `{own}`, the service in `.deploy-record.yml`")))
            }
            _ => Ok(Some(name)),
        },
        Some(name) if services.contains_key(&name) => Ok(Some(name)),
        Some(name) => {
            let near = nearest::of(name.as_str(), names()).map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
            Err(Failure::usage(anyhow!("--service: `{name}` is none of {} in `.deploy-record.yml`{near}", names().join(", "))))
        }
        None if services.len() > 1 => Err(Failure::usage(anyhow!("which service? --service is missing"))
            .hint(format!("`.deploy-record.yml` names several: {}", names().join(", ")))),
        None => Ok(services.keys().next().cloned().or_else(|| settings.config.service.clone())),
    }
}

pub(super) fn project(args: &DeliveryArgs, ci: Option<&CiFacts>, checkout: Option<&Checkout>) -> Option<Project> {
    let own = ci.map(|ci| ci.project.clone());
    match (&args.project, own) {
        (Some(path), Some(own)) if own.path.as_ref().is_some_and(|own| own.as_str().eq_ignore_ascii_case(path)) => Some(own),
        (Some(path), _) => Some(Project { path: Line::clean(path), ..Project::default() }),
        (None, Some(own)) => Some(own),
        (None, None) => {
            let path = checkout?.project_path()?;
            Some(Project { path: Line::clean(&path), ..Project::default() })
        }
    }
}
