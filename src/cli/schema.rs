//! `deploy-record schema`: the formats, for programs.

use super::context::Context;
use super::exit::{Exit, Failure};
use crate::core::record;
use clap::{Args, ValueEnum};

/// Print the JSON Schema of a format.
#[derive(Args)]
#[command(after_help = "Example:\n  deploy-record schema record > record.schema.json")]
pub struct Schema {
    /// The format.
    #[arg(value_enum)]
    format: Name,
}

#[derive(Clone, Copy, ValueEnum)]
enum Name {
    /// One record of the log.
    Record,
}

/// Prints it.
pub fn run(args: &Schema, ctx: &Context) -> Result<Exit, Failure> {
    match args.format {
        Name::Record => ctx.ui.result_bytes(&record::json::write_pretty(&record::schema::json_schema())),
    }
    Ok(Exit::Done)
}
