//! The command line: one file per command, each with its arguments, its call and its outcome.

mod annotate;
mod api;
mod approve;
mod cache;
mod capture;
mod check;
mod context;
mod contradiction;
mod ending;
mod exit;
mod explain;
mod finish;
mod follow_up;
mod gate;
mod identity;
mod keygen;
mod location;
mod log;
mod moment;
mod newest;
mod outcome;
mod person;
mod recheck;
mod record;
mod recover;
mod replay;
mod resolve;
mod result_file;
mod review;
mod run;
mod schema;
mod settings;
mod show;
mod start;
mod starting;
mod status;
mod tokens;
mod verify;
mod view;
mod witness;
mod writer;

pub use exit::{Exit, Failure};

use crate::ui::Ui;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, Parser, Subcommand, ValueEnum};
use context::Context;
use std::ffi::OsString;
use std::str::FromStr;
use std::time::Duration;

/// A deployment history that a GitLab team can prove.
///
/// Runs a deployment and appends a signed, chained record of it to a git branch; reads that log back and checks it.
#[derive(Parser)]
#[command(name = "deploy-record", version, max_term_width = 100, propagate_version = false, disable_version_flag = true)]
#[command(
    after_help = "Exit codes:\n  0  done, or allowed\n  1  refused by policy, or verification failed\n  2  wrong usage, configuration or trust\n  3  could not tell, or could not reach\nOnce its command has started, `run` ends with that command's own code.\n\nExamples:\n  deploy-record run --environment staging -- ./deploy.sh\n  deploy-record status\n  deploy-record verify"
)]
pub struct Cli {
    #[command(flatten)]
    global: Global,
    /// Print the version.
    #[arg(short = 'V', long = "version", action = clap::ArgAction::Version)]
    version: Option<bool>,
    #[command(subcommand)]
    command: Command,
}

/// Options that every command has. Each is a flag or a variable; the flag is the stronger.
#[derive(Args, Default)]
#[command(next_help_heading = "Options of every command")]
pub struct Global {
    /// Where the log is: a git address, a path, or `local`.
    #[arg(long, global = true, env = "DEPLOY_RECORD_LOG", hide_env_values = true, value_parser = non_empty, value_name = "LOG")]
    pub log: Option<String>,
    /// The log's branch [default: deploy-log].
    #[arg(long, global = true, env = "DEPLOY_RECORD_BRANCH", hide_env_values = true, value_parser = non_empty, value_name = "NAME")]
    pub branch: Option<String>,
    /// The signing key: a path, the key's text, that in base64, or the public half of a key that the SSH agent holds.
    #[arg(long, global = true, allow_hyphen_values = true, env = "DEPLOY_RECORD_KEY", hide_env_values = true, value_parser = non_empty, value_name = "KEY")]
    pub key: Option<String>,
    /// Who signs, as the trust root names them; by default the one whose key it is there.
    #[arg(long, global = true, env = "DEPLOY_RECORD_PRINCIPAL", hide_env_values = true, value_parser = non_empty, value_name = "NAME")]
    pub principal: Option<String>,
    /// The trust root; by default `.deploy-record/allowed_signers` on the default branch.
    #[arg(long, global = true, env = "DEPLOY_RECORD_ALLOWED_SIGNERS", hide_env_values = true, value_parser = non_empty, value_name = "FILE")]
    pub allowed_signers: Option<String>,
    /// Access token for the log's server; by default the job's token.
    #[arg(long, global = true, env = "DEPLOY_RECORD_TOKEN", hide_env_values = true, value_parser = non_empty, value_name = "TOKEN")]
    pub token: Option<String>,
    /// The configuration; by default `.deploy-record.yml`.
    #[arg(long, global = true, env = "DEPLOY_RECORD_CONFIG", hide_env_values = true, value_parser = non_empty, value_name = "FILE")]
    pub config: Option<String>,
    /// How long to try to reach the log, in seconds.
    #[arg(long, global = true, env = "DEPLOY_RECORD_TIMEOUT", hide_env_values = true, default_value = "60", value_parser = seconds, value_name = "SECONDS")]
    pub timeout: Duration,
    /// Say more on stderr.
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub verbose: u8,
}

#[derive(Subcommand)]
enum Command {
    Run(run::Run),
    #[command(visible_alias = "gate")]
    Check(check::Check),
    Start(start::Start),
    Finish(finish::Finish),
    Record(record::RecordArgs),
    Approve(approve::Approve),
    Review(review::Review),
    #[command(visible_alias = "unhold")]
    Resolve(resolve::Resolve),
    Annotate(annotate::Annotate),
    #[command(visible_alias = "history")]
    Log(log::Log),
    Show(show::Show),
    Status(status::Status),
    Explain(explain::Explain),
    Verify(verify::Verify),
    Replay(replay::Replay),
    Recover(recover::Recover),
    Keygen(keygen::Keygen),
    Schema(schema::Schema),
}

/// How a result is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// Aligned, for people.
    Table,
    /// For programs.
    Json,
    /// For spreadsheets (RFC 4180).
    Csv,
    /// For tickets and wikis.
    Markdown,
}

/// Runs the program with these arguments and this environment; gives the exit code.
pub fn main(arguments: impl Iterator<Item = OsString>, variables: impl Iterator<Item = (OsString, OsString)>) -> u8 {
    let arguments: Vec<_> = arguments.collect();
    if asks_for_version_alone(&arguments) {
        Ui::print_version();
        return Exit::Done.code();
    }
    let program = arguments.first().map(|name| name.to_string_lossy().into_owned());
    let program = program.unwrap_or_else(|| "deploy-record".to_owned());
    let variables =
        variables.filter_map(|(name, value)| Some((name.into_string().ok()?, value.to_string_lossy().into_owned()))).collect();
    let cli = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        Err(error) if error.use_stderr() => {
            let ctx = Context::new(Global::default(), program, variables);
            ctx.ui.usage_error(&error.render().to_string());
            return Exit::Usage.code();
        }
        Err(help) => {
            Ui::print_help(&help);
            return Exit::Done.code();
        }
    };
    let ctx = Context::new(cli.global, program, variables);
    match dispatch(&cli.command, &ctx) {
        Ok(exit) => match ctx.ui.output_failure() {
            Some(error) if exit == Exit::Done => {
                ctx.ui.error(&anyhow::Error::new(error).context("can't write the result"), &[]);
                Exit::Unable.code()
            }
            _ => exit.code(),
        },
        Err(failure) => {
            ctx.ui.error(&failure.error, &failure.hints);
            failure.exit.code()
        }
    }
}

/// Whether the arguments are those of `deploy-record --version`. Scripts ask this often, so it is answered before the parser is built.
fn asks_for_version_alone(arguments: &[OsString]) -> bool {
    matches!(arguments, [_, only] if only == "--version" || only == "-V")
}

fn dispatch(command: &Command, ctx: &Context) -> Result<Exit, Failure> {
    match command {
        Command::Run(arguments) => run::run(arguments, ctx),
        Command::Check(arguments) => check::run(arguments, ctx),
        Command::Start(arguments) => start::run(arguments, ctx),
        Command::Finish(arguments) => finish::run(arguments, ctx),
        Command::Record(arguments) => record::run(arguments, ctx),
        Command::Approve(arguments) => approve::run(arguments, ctx),
        Command::Review(arguments) => review::run(arguments, ctx),
        Command::Resolve(arguments) => resolve::run(arguments, ctx),
        Command::Annotate(arguments) => annotate::run(arguments, ctx),
        Command::Log(arguments) => log::run(arguments, ctx),
        Command::Show(arguments) => show::run(arguments, ctx),
        Command::Status(arguments) => status::run(arguments, ctx),
        Command::Explain(arguments) => explain::run(arguments, ctx),
        Command::Verify(arguments) => verify::run(arguments, ctx),
        Command::Replay(arguments) => replay::run(arguments, ctx),
        Command::Recover(arguments) => recover::run(arguments, ctx),
        Command::Keygen(arguments) => keygen::run(arguments, ctx),
        Command::Schema(arguments) => schema::run(arguments, ctx),
    }
}

/// An empty flag or variable is a mistake, never a default.
fn non_empty(text: &str) -> Result<String, String> {
    if text.trim().is_empty() {
        return Err("it is empty; give it a value, or leave it out".to_owned());
    }
    Ok(text.to_owned())
}

/// A parser for one of these words; help and errors list them.
fn word_of<T: FromStr<Err = String> + Clone + Send + Sync + 'static>(
    all: &[T],
    word: fn(T) -> &'static str,
) -> impl TypedValueParser<Value = T> + use<T> {
    let words: Vec<_> = all.iter().map(|value| word(value.clone())).collect();
    PossibleValuesParser::new(words).try_map(|text| text.parse::<T>())
}

fn seconds(text: &str) -> Result<Duration, String> {
    match text.parse::<u64>() {
        Ok(seconds @ 1..=86_400) => Ok(Duration::from_secs(seconds)),
        _ => Err("expected a number of seconds from 1 to 86400".to_owned()),
    }
}
