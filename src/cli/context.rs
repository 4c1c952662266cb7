//! What every command works with: the options, the environment, the terminal; the only place that reads the environment.

use super::Global;
use super::exit::Failure;
use crate::ci::{self, CiFacts};
use crate::core::escape::shell_quoted;
use crate::core::redact::Redactor;
use crate::git::HttpConfig;
use crate::http::{Deadline, Http};
use crate::keys;
use crate::repo::Checkout;
use crate::ui::Ui;
use chrono::{DateTime, Utc};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

const KEY: &str = "DEPLOY_RECORD_KEY";

/// The world as a command sees it.
pub struct Context {
    /// Flags and variables that every command has.
    pub global: Global,
    /// Where everything is printed.
    pub ui: Arc<Ui>,
    program: String,
    variables: HashMap<String, String>,
    http: OnceLock<Arc<Http>>,
}

impl Context {
    /// The context of this process.
    pub fn new(global: Global, program: String, variables: HashMap<String, String>) -> Self {
        let redactor = Redactor::new(secrets(&global, &variables), &[]);
        let ui = Arc::new(Ui::new(global.verbose, Box::new(move |text| redactor.redact(text).text.into_owned())));
        Context { global, ui, program, variables, http: OnceLock::new() }
    }

    /// What takes secrets out of records, but for the kinds that the configuration allows.
    pub fn redactor(&self, allow: &[String]) -> Redactor {
        Redactor::new(secrets(&self.global, &self.variables), allow)
    }

    /// A result that tells what others wrote, such as a server's answer, without secrets.
    pub fn without_secrets(&self, text: &str) -> String {
        self.redactor(&[]).redact(text).text.into_owned()
    }

    /// A variable of the environment.
    pub fn variable(&self, name: &str) -> Option<String> {
        self.variables.get(name).cloned()
    }

    /// A command line of this program as the user can type it: by the name that it was started with, on the same log.
    pub fn command_line(&self, arguments: &str) -> String {
        self.command_line_of(&self.program, arguments)
    }

    /// The same for another person on another machine, where the program goes by its own name.
    pub fn command_line_elsewhere(&self, arguments: &str) -> String {
        self.command_line_of("deploy-record", arguments)
    }

    fn command_line_of(&self, program: &str, arguments: &str) -> String {
        let options = [("--log", &self.global.log), ("--branch", &self.global.branch)];
        let is_flag = |name: &str| self.variable(name).is_none();
        let options =
            options.iter().zip(["DEPLOY_RECORD_LOG", "DEPLOY_RECORD_BRANCH"]).filter_map(|((flag, value), variable)| {
                let value = value.as_ref().filter(|_| is_flag(variable))?;
                Some(format!(" {flag} {}", shell_quoted(value)))
            });
        format!("{} {arguments}{}", shell_quoted(program), options.collect::<String>())
    }

    /// GitLab's variables, in a CI job.
    ///
    /// # Errors
    /// Where one of them is missing or makes no sense.
    pub fn ci(&self) -> Result<Option<CiFacts>, Failure> {
        ci::read(&|name| self.variable(name)).map_err(Failure::usage)
    }

    /// The repository at hand.
    ///
    /// # Errors
    /// Where there is one that can't be used.
    pub fn checkout(&self, ci: Option<&CiFacts>) -> Result<Option<Checkout>, Failure> {
        let directory = match ci.and_then(|ci| ci.project_dir.as_deref()) {
            Some(directory) => PathBuf::from(directory),
            None => std::env::current_dir().map_err(Failure::unable)?,
        };
        Checkout::discover(&directory, ci.is_some()).map_err(Failure::usage)
    }

    /// The repository in which a job runs this, whatever `CI_PROJECT_DIR` says.
    ///
    /// # Errors
    /// As [`Context::checkout`].
    pub fn checkout_here(&self) -> Result<Option<Checkout>, Failure> {
        let directory = std::env::current_dir().map_err(Failure::unable)?;
        Checkout::discover(&directory, true).map_err(Failure::usage)
    }

    /// The HTTP client, as the environment has it; one for all, so that connections are kept.
    pub fn http(&self) -> Arc<Http> {
        let names = ["CI_SERVER_TLS_CA_FILE", "GIT_SSL_CAINFO", "SSL_CERT_FILE"];
        Arc::clone(self.http.get_or_init(|| Arc::new(Http::new(self.ca_file(&names), None))))
    }

    /// The HTTP client for one address, as the environment and git's configuration in this folder have it.
    pub fn http_as_git(&self, directory: &Path, url: &str) -> Arc<Http> {
        let config = HttpConfig::read(directory, url);
        let configured = config.ca_file.map(|path| PathBuf::from(self.expand_home(&path)));
        let ca_file = self.ca_file(&["CI_SERVER_TLS_CA_FILE", "GIT_SSL_CAINFO"]).or(configured);
        Arc::new(Http::new(ca_file.or_else(|| self.ca_file(&["SSL_CERT_FILE"])), config.proxy))
    }

    fn ca_file(&self, names: &[&str]) -> Option<PathBuf> {
        names.iter().find_map(|name| self.variable(name).filter(|path| !path.is_empty())).map(PathBuf::from)
    }

    /// A path whose `~/` stands for the person's home.
    pub fn expand_home(&self, path: &str) -> String {
        match (path.strip_prefix("~/"), self.variable("HOME")) {
            (Some(rest), Some(home)) => format!("{home}/{rest}"),
            _ => path.to_owned(),
        }
    }

    /// The moment to give up at, from now.
    pub fn deadline(&self) -> Deadline {
        Deadline::after(self.global.timeout)
    }

    /// The clock.
    pub fn now(&self) -> DateTime<Utc> {
        Utc::now()
    }
}

/// The variables, and the flags that are secrets themselves. A key that is the path of a file is none.
fn secrets(global: &Global, variables: &HashMap<String, String>) -> Vec<(String, String)> {
    let mut all: Vec<_> = variables.iter().map(|(name, value)| (name.clone(), value.clone())).collect();
    let flags = [("DEPLOY_RECORD_TOKEN", &global.token), (KEY, &global.key)];
    all.extend(flags.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value.clone()?))));
    all.retain(|(name, value)| name != KEY || keys::is_text(value));
    all.sort();
    all
}
