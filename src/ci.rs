//! GitLab's predefined variables, typed.
//!
//! Source: docs.gitlab.com/ci/variables/predefined_variables. The runner expands `$X` in `CI_COMMIT_MESSAGE`, `_TITLE`,
//! `_DESCRIPTION`, `_AUTHOR`, `_REF_NAME` and `_TAG_MESSAGE`, and `CI_REPOSITORY_URL` holds the job's token: none of these is
//! ever looked up. What they tell comes from git.

use crate::core::record::{CommitId, Job, Line, Link, Name, Person, Project, Tier};

/// A variable that a GitLab job must have is missing or makes no sense.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the variable {variable} {problem}")]
pub struct CiError {
    variable: &'static str,
    problem: String,
}

/// What a job's variables tell.
#[derive(Debug, Clone)]
pub struct CiFacts {
    /// The project whose pipeline it is.
    pub project: Project,
    /// The commit that the job is for.
    pub sha: CommitId,
    /// The branch, in a branch pipeline.
    pub branch: Option<Line>,
    /// The tag, in a tag pipeline.
    pub tag: Option<Line>,
    /// Whether GitLab protects the branch or tag; `None` where it does not say.
    pub is_protected: Option<bool>,
    /// Whether one of the project's own freeze periods was on when the pipeline was made.
    pub is_frozen: bool,
    /// The job's environment.
    pub environment: Option<CiEnvironment>,
    /// The job itself.
    pub job: Job,
    /// Who runs it.
    pub actor: Person,
    /// GitLab's address.
    pub server_url: String,
    /// GitLab's host, without port.
    pub server_host: String,
    /// The project's git address, without credentials.
    pub repository_url: String,
    /// The checkout.
    pub project_dir: Option<String>,
}

/// What every job of GitLab has, and nothing else.
const JOBS_OWN: &[&str] = &["CI_JOB_ID", "CI_JOB_TOKEN", "CI_PIPELINE_ID", "CI_PROJECT_ID"];

/// A job's environment.
#[derive(Debug, Clone)]
pub struct CiEnvironment {
    /// Its name.
    pub name: Name,
    /// Its tier.
    pub tier: Tier,
    /// Where it can be seen.
    pub url: Option<Link>,
    /// What the job does with it; GitLab's default is `start`.
    pub action: Option<String>,
}

impl CiEnvironment {
    /// Whether the job deploys: `stop`, `prepare`, `verify` and `access` do not.
    pub fn is_deployment(&self) -> bool {
        self.action.as_deref().is_none_or(|action| action == "start")
    }
}

/// Reads the variables; `None` outside a GitLab job. An empty variable counts as absent.
///
/// # Errors
/// Names the variable that is missing or makes no sense.
pub fn read(lookup: &dyn Fn(&str) -> Option<String>) -> Result<Option<CiFacts>, CiError> {
    let variables = Variables(lookup);
    match variables.get("GITLAB_CI").as_deref() {
        Some("true") => {}
        // whoever starts a pipeline may set any variable, but take none away
        said => {
            return match JOBS_OWN.iter().find(|name| lookup(name).is_some()) {
                Some(name) => Err(wrong(
                    "GITLAB_CI",
                    &format!(
                        "is `{}`, although {name} says that this is a GitLab job",
                        said.unwrap_or_default().escape_debug()
                    ),
                )),
                None => Ok(None),
            };
        }
    }
    let server_url = variables.required("CI_SERVER_URL")?;
    let project_url = variables.required("CI_PROJECT_URL")?;
    let server = url::Url::parse(&server_url).ok().filter(|url| ["http", "https"].contains(&url.scheme()));
    let server_host = server.and_then(|url| url.host_str().map(str::to_owned));
    Ok(Some(CiFacts {
        project: Project {
            id: Some(variables.number("CI_PROJECT_ID")?.ok_or_else(|| missing("CI_PROJECT_ID"))?),
            path: Line::clean(&variables.required("CI_PROJECT_PATH")?),
            url: Link::new(project_url.as_str()).ok(),
            ..Project::default()
        },
        sha: CommitId::new(variables.required("CI_COMMIT_SHA")?).map_err(|problem| wrong("CI_COMMIT_SHA", &problem))?,
        branch: variables.line("CI_COMMIT_BRANCH"),
        tag: variables.line("CI_COMMIT_TAG"),
        is_protected: variables.get("CI_COMMIT_REF_PROTECTED").map(|text| text == "true"),
        is_frozen: variables.get("CI_DEPLOY_FREEZE").is_some_and(|text| text != "false"),
        environment: environment(&variables)?,
        job: job(&variables)?,
        actor: actor(&variables)?,
        server_host: server_host.ok_or_else(|| wrong("CI_SERVER_URL", "is no HTTP(S) address"))?,
        server_url,
        repository_url: format!("{}.git", project_url.trim_end_matches('/')),
        project_dir: variables.get("CI_PROJECT_DIR"),
    }))
}

/// The tier that GitLab guesses from an environment's name (docs.gitlab.com/ci/environments, "Deployment tier of environments").
pub fn guess_tier(name: &str) -> Tier {
    let name = name.to_lowercase();
    let has = |words: &[&str]| words.iter().any(|word| name.contains(word));
    if has(&["dev", "review", "trunk"]) {
        Tier::Development
    } else if has(&["test", "tst", "int", "acceptance", "accept", "acpt", "qa", "qc", "control", "quality"]) {
        Tier::Testing
    } else if has(&["st", "mod", "pre", "demo", "non"]) {
        Tier::Staging
    } else if has(&["pr", "live"]) {
        Tier::Production
    } else {
        Tier::Other
    }
}

struct Variables<'a>(&'a dyn Fn(&str) -> Option<String>);

impl Variables<'_> {
    fn get(&self, name: &'static str) -> Option<String> {
        (self.0)(name).filter(|value| !value.is_empty())
    }

    fn required(&self, name: &'static str) -> Result<String, CiError> {
        self.get(name).ok_or_else(|| missing(name))
    }

    fn number(&self, name: &'static str) -> Result<Option<u64>, CiError> {
        let Some(value) = self.get(name) else { return Ok(None) };
        match value.parse() {
            Ok(number) if number < 1 << 53 => Ok(Some(number)),
            _ => Err(wrong(name, &format!("is `{}`, which is no number", value.escape_debug()))),
        }
    }

    fn line(&self, name: &'static str) -> Option<Line> {
        Line::clean(&self.get(name)?)
    }

    fn link(&self, name: &'static str) -> Option<Link> {
        Link::new(self.get(name)?).ok()
    }
}

fn missing(variable: &'static str) -> CiError {
    wrong(variable, "is missing, although GITLAB_CI says that this is a GitLab job")
}

fn wrong(variable: &'static str, problem: &str) -> CiError {
    CiError { variable, problem: problem.to_owned() }
}

fn environment(variables: &Variables) -> Result<Option<CiEnvironment>, CiError> {
    let Some(name) = variables.get("CI_ENVIRONMENT_NAME") else { return Ok(None) };
    let tier = variables.get("CI_ENVIRONMENT_TIER").and_then(|tier| tier.parse().ok());
    Ok(Some(CiEnvironment {
        tier: tier.unwrap_or_else(|| guess_tier(&name)),
        name: Name::new(name).map_err(|problem| wrong("CI_ENVIRONMENT_NAME", &problem))?,
        url: variables.link("CI_ENVIRONMENT_URL"),
        action: variables.get("CI_ENVIRONMENT_ACTION"),
    }))
}

fn job(variables: &Variables) -> Result<Job, CiError> {
    Ok(Job {
        id: variables.number("CI_JOB_ID")?,
        name: variables.line("CI_JOB_NAME"),
        url: variables.link("CI_JOB_URL"),
        pipeline_id: variables.number("CI_PIPELINE_ID")?,
        pipeline_url: variables.link("CI_PIPELINE_URL"),
        source: variables.line("CI_PIPELINE_SOURCE"),
        runner: variables.line("CI_RUNNER_DESCRIPTION"),
        ..Job::default()
    })
}

fn actor(variables: &Variables) -> Result<Person, CiError> {
    let login = variables.get("GITLAB_USER_LOGIN");
    let login = login.map(Name::new).transpose().map_err(|problem| wrong("GITLAB_USER_LOGIN", &problem))?;
    let is_bot = login.as_ref().is_some_and(Name::is_bot_login);
    let is_scheduled = variables.get("CI_PIPELINE_SOURCE").as_deref() == Some("schedule");
    Ok(Person {
        login,
        id: variables.number("GITLAB_USER_ID")?,
        name: variables.line("GITLAB_USER_NAME"),
        bot: is_bot.then_some(true),
        automated: (is_bot || is_scheduled).then_some(true),
        ..Person::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::RefCell;
    use std::collections::BTreeMap;

    fn job_variables() -> BTreeMap<&'static str, String> {
        let pairs = [
            ("GITLAB_CI", "true"),
            ("CI_SERVER_URL", "https://gitlab.example:8443"),
            ("CI_PROJECT_URL", "https://gitlab.example:8443/grp/app"),
            ("CI_PROJECT_PATH", "grp/app"),
            ("CI_PROJECT_ID", "42"),
            ("CI_COMMIT_SHA", "0123456789abcdef0123456789abcdef01234567"),
            ("CI_COMMIT_BRANCH", "fix/$(id)"),
            ("CI_ENVIRONMENT_NAME", "production"),
            ("CI_JOB_ID", "302"),
            ("CI_PIPELINE_SOURCE", "push"),
            ("GITLAB_USER_LOGIN", "ann"),
            ("GITLAB_USER_ID", "7"),
            ("CI_COMMIT_MESSAGE", "pay glcbt-secret"),
            ("CI_COMMIT_REF_NAME", "x"),
            ("CI_REPOSITORY_URL", "https://gitlab-ci-token:secret@gitlab.example/grp/app.git"),
        ];
        pairs.into_iter().map(|(name, value)| (name, value.to_owned())).collect()
    }

    fn read_with(change: &[(&'static str, &str)]) -> Result<Option<CiFacts>, CiError> {
        let mut variables = job_variables();
        variables.extend(change.iter().map(|(name, value)| (*name, (*value).to_owned())));
        read(&|name| variables.get(name).cloned())
    }

    #[test]
    fn a_job_and_no_job() {
        let facts = read_with(&[]).expect("facts").expect("a job");
        assert_eq!(facts.repository_url, "https://gitlab.example:8443/grp/app.git");
        assert_eq!((facts.server_host.as_str(), facts.project.id), ("gitlab.example", Some(42)));
        assert_eq!(facts.environment.map(|environment| environment.tier), Some(Tier::Production));
        for other in ["false", "1", "TRUE", ""] {
            assert!(read_with(&[("GITLAB_CI", other)]).expect_err(other).to_string().contains("CI_JOB_ID"), "{other}");
        }
        let elsewhere = |name: &str| (name == "CI").then(|| "true".to_owned());
        assert!(read(&elsewhere).expect("no job").is_none());
        assert!(read_with(&[("CI_ENVIRONMENT_NAME", "")]).expect("facts").expect("a job").environment.is_none());
    }

    #[test]
    fn what_is_missing_or_wrong_is_named() {
        for (name, value) in [
            ("CI_COMMIT_SHA", ""),
            ("CI_COMMIT_SHA", "abc"),
            ("CI_PROJECT_URL", ""),
            ("CI_JOB_ID", "x"),
            ("CI_PROJECT_ID", "-1"),
            ("CI_ENVIRONMENT_NAME", "a;b"),
            ("CI_SERVER_URL", "x"),
            ("CI_SERVER_URL", "ssh://gitlab.example"),
        ] {
            let error = read_with(&[(name, value)]).expect_err(name).to_string();
            assert!(error.contains(name), "{error}");
        }
    }

    #[test]
    fn variables_that_the_runner_expands_are_never_looked_up() {
        let asked = RefCell::new(Vec::new());
        let variables = job_variables();
        read(&|name| {
            asked.borrow_mut().push(name.to_owned());
            variables.get(name).cloned()
        })
        .expect("facts");
        for never in [
            "CI_COMMIT_MESSAGE",
            "CI_COMMIT_TITLE",
            "CI_COMMIT_DESCRIPTION",
            "CI_COMMIT_AUTHOR",
            "CI_COMMIT_TAG_MESSAGE",
            "CI_COMMIT_REF_NAME",
            "CI_REPOSITORY_URL",
        ] {
            assert!(!asked.borrow().iter().any(|name| name == never), "{never}");
        }
        assert!(asked.borrow().len() > 10);
    }

    #[test]
    fn bots_and_schedules_are_automated() {
        let actor = |change: &[(&'static str, &str)]| read_with(change).expect("facts").expect("a job").actor;
        assert_eq!(actor(&[("GITLAB_USER_LOGIN", "project_12_bot_ab12")]).bot, Some(true));
        assert_eq!(actor(&[("GITLAB_USER_LOGIN", "group_3_bot")]).automated, Some(true));
        assert_eq!(actor(&[("CI_PIPELINE_SOURCE", "schedule")]).automated, Some(true));
        assert_eq!((actor(&[]).bot, actor(&[]).automated), (None, None));
        assert_eq!(actor(&[("GITLAB_USER_LOGIN", "project_x_bot")]).bot, None);
    }

    #[test]
    fn only_some_actions_deploy() {
        for (action, deploys) in
            [("start", true), ("", true), ("stop", false), ("prepare", false), ("verify", false), ("access", false)]
        {
            let facts = read_with(&[("CI_ENVIRONMENT_ACTION", action)]).expect("facts").expect("a job");
            assert_eq!(facts.environment.map(|environment| environment.is_deployment()), Some(deploys), "{action}");
        }
    }

    #[test]
    fn tiers_by_name() {
        for (name, tier) in [
            ("production", Tier::Production),
            ("Live", Tier::Production),
            ("staging", Tier::Staging),
            ("demo", Tier::Staging),
            ("qa", Tier::Testing),
            ("test-2", Tier::Testing),
            ("review/fix-1", Tier::Development),
            ("eu-1", Tier::Other),
        ] {
            assert_eq!(guess_tier(name), tier, "{name}");
        }
    }
}
