//! `deploy-record annotate`: add to an earlier record, or correct it, by a record of its own.

use super::context::Context;
use super::exit::{Exit, Failure};
use super::person::{Act, Original};
use super::settings::Settings;
use super::writer::LogWriter;
use super::{Format, view};
use crate::core::record::{Kind, Line, Record, Rollback, Text};
use anyhow::anyhow;
use clap::Args;

/// Add a note to an earlier record, or the texts that a rollback lacks.
///
/// The record itself stays as it is; `show` and `log` have the annotation beside it. It changes nothing about what runs or what is
/// owed, but for the reason of a rollback that was missing. A person signs it with their own key.
#[derive(Args)]
#[command(
    after_help = "Examples:\n  deploy-record annotate 124 --note 'the ticket is PAY-8, not PAY-7'\n  deploy-record annotate 130 --reason 'card payments failed' --impact 'checkout was down for 9 minutes' --incident INC-12\n  deploy-record annotate 130 --resolution 'fixed in 1.4.3' --dry-run"
)]
pub struct Annotate {
    /// The number of the record that it is about.
    #[arg(value_parser = clap::value_parser!(u64).range(1..), value_name = "N")]
    seq: u64,
    /// What is to be added or corrected.
    #[arg(long, allow_hyphen_values = true, value_parser = super::non_empty, value_name = "TEXT")]
    note: Option<String>,
    /// Why a rollback was made, where its record does not say; of any other record the same as --note.
    #[arg(long, allow_hyphen_values = true, value_parser = super::non_empty, value_name = "TEXT")]
    reason: Option<String>,
    /// Why a rollback was made, as customers may read it.
    #[arg(long, allow_hyphen_values = true, value_parser = super::non_empty, value_name = "TEXT")]
    public_reason: Option<String>,
    /// How users were affected before a rollback.
    #[arg(long, allow_hyphen_values = true, value_parser = super::non_empty, value_name = "TEXT")]
    impact: Option<String>,
    /// What fixed it after a rollback.
    #[arg(long, allow_hyphen_values = true, value_parser = super::non_empty, value_name = "TEXT")]
    resolution: Option<String>,
    /// The incident behind a rollback: its number or page.
    #[arg(long, allow_hyphen_values = true, value_parser = super::non_empty, value_name = "INCIDENT")]
    incident: Option<String>,
    /// Show what would be recorded; write nothing.
    #[arg(long)]
    dry_run: bool,
    /// How the result is written.
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
}

/// Appends it.
pub fn run(args: &Annotate, ctx: &Context) -> Result<Exit, Failure> {
    let settings = Settings::load(ctx)?;
    let act = Act { what: "an annotation", command: format!("annotate {}", args.seq) };
    act.refuse_own_key(ctx, &settings)?;
    let original = Original::find(args.seq, ctx, &settings)?;
    let mut annotation = args.annotation(ctx, &original)?;
    let writer = LogWriter::open(ctx, settings, original.environment())?;
    annotation.by = Some(act.signer(ctx, &writer)?);
    if args.dry_run {
        ctx.ui.result(&view::draft(&annotation, &writer.redactor));
        return Ok(Exit::Done);
    }
    act.append(ctx, &writer, args.format, annotation)
}

impl Annotate {
    fn annotation(&self, ctx: &Context, original: &Original) -> Result<Record, Failure> {
        let is_rollback = original.named.kind == Kind::Rollback;
        let rollback = self.rollback_texts(is_rollback, original)?;
        let mut note = self.note.clone();
        if let Some(reason) = self.reason.clone().filter(|_| !is_rollback)
            && note.replace(reason).is_some()
        {
            return Err(Failure::usage(anyhow!("--note and --reason are the same for record {}: give one", self.seq)));
        }
        if note.is_none() && rollback.is_none() {
            note = ctx.ui.ask(&format!("What is to be added to record {}? ", self.seq)).map_err(Failure::unable)?;
        }
        let note = note.as_deref().and_then(Text::clean);
        if note.is_none() && rollback.is_none() {
            return Err(Failure::usage(anyhow!("what is to be added to record {}? --note is missing", self.seq)));
        }
        let mut record = original.draft(Kind::Annotation);
        (record.note, record.rollback) = (note, rollback);
        Ok(record)
    }

    /// What the rollback's records do not say yet.
    fn rollback_texts(&self, is_rollback: bool, original: &Original) -> Result<Option<Rollback>, Failure> {
        let given = [
            ("--public-reason", &self.public_reason),
            ("--impact", &self.impact),
            ("--resolution", &self.resolution),
            ("--incident", &self.incident),
        ];
        if !is_rollback {
            return match given.into_iter().find(|(_, text)| text.is_some()) {
                Some((flag, _)) => {
                    let kind = original.named.kind;
                    Err(Failure::usage(anyhow!("{flag} is for a rollback, and record {} is of kind `{kind}`", self.seq))
                        .hint("add what there is to say with --note"))
                }
                None => Ok(None),
            };
        }
        let texts = Rollback {
            reason: self.reason.as_deref().and_then(Text::clean),
            public_reason: self.public_reason.as_deref().and_then(Text::clean),
            impact: self.impact.as_deref().and_then(Text::clean),
            resolution: self.resolution.as_deref().and_then(Text::clean),
            incident: self.incident.as_deref().and_then(Line::clean),
            ..Rollback::default()
        };
        for said in original.halves().chain(original.about(Kind::Annotation)) {
            refuse_second(said, &texts)?;
        }
        Ok((texts != Rollback::default()).then_some(texts))
    }
}

/// A text that is there already is not given again: the first one stands, and a note corrects it.
fn refuse_second(said: &Record, texts: &Rollback) -> Result<(), Failure> {
    let Some(known) = &said.rollback else { return Ok(()) };
    let flags = [
        ("--reason", known.reason.is_some() && texts.reason.is_some()),
        ("--public-reason", known.public_reason.is_some() && texts.public_reason.is_some()),
        ("--impact", known.impact.is_some() && texts.impact.is_some()),
        ("--resolution", known.resolution.is_some() && texts.resolution.is_some()),
        ("--incident", known.incident.is_some() && texts.incident.is_some()),
    ];
    match flags.into_iter().find(|(_, is_second)| *is_second) {
        Some((flag, _)) => Err(Failure::usage(anyhow!("{flag}: record {} says that already", said.seq))
            .hint("correct it with --note, which is shown beside it")),
        None => Ok(()),
    }
}
