//! `deploy-record annotate`: add to an earlier record, or correct it, by a record of its own.

use super::context::Context;
use super::exit::{Exit, Failure};
use super::log::no_log;
use super::settings::Settings;
use super::writer::LogWriter;
use super::{Format, view};
use crate::core::record::{Kind, Line, Person, Record, Rollback, Status, Text};
use crate::recorder::{Appended, Draft, Kept, Known, RecordError, random_id};
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
    refuse_own_key(args, ctx, &settings)?;
    let original = find(args.seq, ctx, &settings)?;
    let mut annotation = args.annotation(ctx, &original)?;
    let environment = original.newest.environment.as_ref().map(|environment| &environment.name);
    let writer = LogWriter::open(ctx, settings, environment)?;
    let recorder = writer.recorder();
    let login = recorder.signer.principal();
    if login.as_str().starts_with("ci:") {
        return Err(refused_pipeline(args, ctx, login.as_str()));
    }
    annotation.by = Some(Person { login: Some(login.clone()), ..Person::default() });
    if args.dry_run {
        ctx.ui.result(&view::draft(&annotation, &writer.redactor));
        return Ok(Exit::Done);
    }
    let id = random_id().map_err(Failure::unable)?;
    let keeps = RecordError::can_be_mended;
    let kept = recorder.append_or_spool(&writer.spool, &id, annotation.clone(), ctx.deadline(), &keeps, &mut |_| {
        Ok(Draft(annotation.clone()))
    })?;
    match kept {
        Kept::InSpool(spooled) => {
            view::announce_spooled(ctx, spooled);
            return Ok(Exit::Unable);
        }
        Kept::InLog(Appended::Already(seq)) => ctx.ui.result(&view::already(seq, args.format)),
        Kept::InLog(Appended::New(receipt)) => {
            view::announce(ctx, &receipt, &writer.settings);
            ctx.ui.say(&format!("checkpoint: {}", receipt.checkpoint));
            ctx.ui.result(&view::receipt(&receipt, args.format));
        }
    }
    Ok(Exit::Done)
}

impl Annotate {
    fn annotation(&self, ctx: &Context, original: &Original) -> Result<Record, Failure> {
        let is_rollback = original.newest.kind == Kind::Rollback;
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
        let mut record = Record::draft(Kind::Annotation);
        record.service = original.newest.service.clone();
        record.project = original.newest.project.clone();
        record.environment = original.newest.environment.clone();
        (record.of, record.note, record.rollback) = (Some(self.seq), note, rollback);
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
                    let kind = original.newest.kind;
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
        for said in original.records() {
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

/// The record that an annotation is about, as the log has it: with the other half of its deployment, and what was added before.
struct Original {
    newest: Record,
    /// Its start or its end, where that is another record.
    other: Option<Record>,
    annotations: Vec<Record>,
}

impl Original {
    fn records(&self) -> impl Iterator<Item = &Record> {
        std::iter::once(&self.newest).chain(&self.other).chain(&self.annotations)
    }
}

/// Finds the record, verified by every step back to it.
fn find(seq: u64, ctx: &Context, settings: &Settings) -> Result<Original, Failure> {
    let store = settings.open_log_to_append(ctx)?;
    let known = Known::fetch(&store, &settings.trust, ctx.deadline())?;
    let newest = known.tip.as_ref().ok_or_else(|| no_log(&store))?.newest.record().seq;
    if seq > newest {
        return Err(Failure::usage(anyhow!("{} holds no record {seq}: the newest is {newest}", store.description()))
            .hint("`deploy-record log` lists them"));
    }
    let (mut found, mut end, mut start): (Option<Record>, Option<Record>, Option<Record>) = (None, None, None);
    let mut annotations = Vec::new();
    known.walk(&mut |step| {
        let record = step.record();
        let wanted = found.as_ref().and_then(|found| found.finishes);
        if record.seq == seq {
            found = Some(record.clone());
        } else if record.kind == Kind::Annotation {
            annotations.push(record.clone());
        } else if record.finishes == Some(seq) {
            end = Some(record.clone());
        } else if wanted == Some(record.seq) {
            start = Some(record.clone());
        }
        // an end alone says all of it only together with its start
        match &found {
            None => true,
            Some(found) => found.finishes.is_some_and(|start| start < record.seq),
        }
    })?;
    let missing = || Failure::unable(anyhow!("{} holds no record {seq}", store.description()));
    let newest = found.ok_or_else(missing)?;
    let other = if newest.status == Some(Status::Running) { end } else { start };
    let numbers = [Some(newest.seq), other.as_ref().map(|other| other.seq)];
    annotations.retain(|annotation| annotation.of.is_some_and(|of| numbers.contains(&Some(of))));
    Ok(Original { newest, other, annotations })
}

/// Where only the repository's own key could sign, nobody can: it stands for no person.
fn refuse_own_key(args: &Annotate, ctx: &Context, settings: &Settings) -> Result<(), Failure> {
    if ctx.global.key.is_some() || (settings.trust.signers.is_some() && !settings.trusts_only_itself) {
        return Ok(());
    }
    let who = if settings.trusts_only_itself { super::identity::OWN_PRINCIPAL } else { "nobody" };
    Err(refused_pipeline(args, ctx, who))
}

fn refused_pipeline(args: &Annotate, ctx: &Context, principal: &str) -> Failure {
    let problem = match principal {
        "nobody" => anyhow!("an annotation is signed by a person, and without a trust root nobody is known"),
        super::identity::OWN_PRINCIPAL => {
            anyhow!("an annotation is signed by a person, and `{principal}` is the key of this repository, not of anybody")
        }
        _ => anyhow!(
            "an annotation is signed by a person: the pipeline's key `{principal}` can only vouch for one whom GitLab itself \
             names, which this version does not ask"
        ),
    };
    let again = ctx.command_line(&format!("annotate {} --key YOUR-KEY", args.seq));
    Failure::usage(problem)
        .hint("if you have no key that the trust root names: `deploy-record keygen --principal YOUR-GITLAB-LOGIN` makes one")
        .hint(format!(
            "add its line to `{}` on the default branch, beside those of the keys that signed so far",
            super::settings::TRUST_ROOT
        ))
        .hint(format!("then, on your own machine: {again}"))
}
