//! `deploy-record schema`: the formats, for programs.

use super::context::Context;
use super::exit::{Exit, Failure};
use crate::config;
use crate::core::record;
use clap::{Args, ValueEnum};

/// Print the JSON Schema of a format.
#[derive(Args)]
#[command(after_help = "Examples:\n  deploy-record schema record > record.schema.json\n  \
    deploy-record schema config > .deploy-record/config.schema.json\n\n\
    Editors that speak yaml-language-server check `.deploy-record.yml` while you write, with this as its first line:\n  \
    # yaml-language-server: $schema=.deploy-record/config.schema.json")]
pub struct Schema {
    /// The format.
    #[arg(value_enum)]
    format: Name,
}

#[derive(Clone, Copy, ValueEnum)]
enum Name {
    /// One record of the log.
    Record,
    /// The configuration, `.deploy-record.yml`.
    Config,
}

/// Prints it.
pub fn run(args: &Schema, ctx: &Context) -> Result<Exit, Failure> {
    match args.format {
        Name::Record => ctx.ui.result_bytes(&record::json::write_pretty(&record::schema::json_schema())),
        Name::Config => ctx.ui.result_bytes(config::SCHEMA.as_bytes()),
    }
    Ok(Exit::Done)
}
