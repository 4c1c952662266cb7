//! What a person signs with their own key: approvals, reviews, resolutions, annotations. The pipeline's key can't: it stands for
//! nobody.

use super::capture::project_in;
use super::context::Context;
use super::exit::{Exit, Failure};
use super::log::no_log;
use super::settings::{Settings, TRUST_ROOT};
use super::writer::LogWriter;
use super::{Format, identity, view};
use crate::core::record::{Kind, Name, Person, Record, Status, Text};
use crate::recorder::{Appended, Draft, Kept, Known, RecordError, random_id};
use anyhow::anyhow;

/// A command that a person signs: what it makes, and how it is called again with a key.
pub struct Act {
    /// Such as `an annotation`.
    pub what: &'static str,
    /// The command and its arguments, such as `annotate 7`.
    pub command: String,
}

impl Act {
    /// Where only the repository's own key could sign, nobody can.
    ///
    /// # Errors
    /// Where that is so.
    pub fn refuse_own_key(&self, ctx: &Context, settings: &Settings) -> Result<(), Failure> {
        if ctx.global.key.is_some() || (settings.trust.signers.is_some() && !settings.trusts_only_itself) {
            return Ok(());
        }
        Err(self.refused(ctx, if settings.trusts_only_itself { identity::OWN_PRINCIPAL } else { "nobody" }))
    }

    /// The person whose key signs.
    ///
    /// # Errors
    /// Where it is a pipeline's.
    pub fn signer(&self, ctx: &Context, writer: &LogWriter) -> Result<Person, Failure> {
        let login = writer.recorder().signer.principal();
        if login.as_str().starts_with("ci:") {
            return Err(self.refused(ctx, login.as_str()));
        }
        Ok(Person { login: Some(login.clone()), ..Person::default() })
    }

    /// Appends the record.
    ///
    /// # Errors
    /// Where it is neither in the log nor in the spool.
    pub fn append(&self, ctx: &Context, writer: &LogWriter, format: Format, draft: Record) -> Result<Exit, Failure> {
        let id = random_id().map_err(Failure::unable)?;
        let keeps = RecordError::can_be_mended;
        let kept =
            writer.recorder().append_or_spool(&writer.spool, &id, draft.clone(), ctx.deadline(), &keeps, &mut |known| {
                // a laptop may know the project only by its path
                let project = project_in(draft.project.clone(), known.state());
                Ok(Draft(Record { project, ..draft.clone() }))
            })?;
        match kept {
            Kept::InSpool(spooled) => {
                view::announce_spooled(ctx, spooled);
                return Ok(Exit::Unable);
            }
            Kept::InLog(Appended::Already(seq)) => ctx.ui.result(&view::already(seq, format)),
            Kept::InLog(Appended::New(receipt)) => {
                view::announce(ctx, &receipt, &writer.settings);
                ctx.ui.say(&format!("checkpoint: {}", receipt.checkpoint));
                ctx.ui.result(&view::receipt(&receipt, format));
            }
        }
        Ok(Exit::Done)
    }

    /// The person's words: those that are given, or those that they type.
    ///
    /// # Errors
    /// Where there are none; `flag` says how to give them.
    pub fn words(ctx: &Context, given: Option<&String>, question: &str, flag: &str) -> Result<Text, Failure> {
        let words = match given {
            Some(words) => Some(words.clone()),
            None => ctx.ui.ask(question).map_err(Failure::unable)?,
        };
        let words = words.as_deref().and_then(Text::clean);
        words.ok_or_else(|| Failure::usage(anyhow!("{} {flag} is missing", question.trim())))
    }

    fn refused(&self, ctx: &Context, principal: &str) -> Failure {
        let what = self.what;
        let problem = match principal {
            "nobody" => anyhow!("{what} is signed by a person, and without a trust root nobody is known"),
            identity::OWN_PRINCIPAL => {
                anyhow!("{what} is signed by a person, and `{principal}` is the key of this repository, not of anybody")
            }
            _ => anyhow!("{what} is signed by a person: the pipeline's key `{principal}` is not anybody's own"),
        };
        let again = ctx.command_line(&format!("{} --key YOUR-KEY", self.command));
        Failure::usage(problem)
            .hint(
                "if you have no key that the trust root names: `deploy-record keygen --principal YOUR-GITLAB-LOGIN` makes one",
            )
            .hint(format!("add its line to `{TRUST_ROOT}` on the default branch, beside those of the keys that signed so far"))
            .hint(format!("then, on your own machine: {again}"))
    }
}

/// A record that somebody comes back to, as the log has it: with the other half of its deployment, and what came of it since.
pub struct Original {
    /// The record that was named.
    pub named: Record,
    /// Its start or its end, where that is another record.
    pub other: Option<Record>,
    /// The records that are about either, the newest first.
    pub about: Vec<Record>,
}

impl Original {
    /// Both halves of it.
    pub fn halves(&self) -> impl Iterator<Item = &Record> {
        std::iter::once(&self.named).chain(&self.other)
    }

    /// The records of this kind that are about it.
    pub fn about(&self, kind: Kind) -> impl Iterator<Item = &Record> {
        self.about.iter().filter(move |record| record.kind == kind)
    }

    /// The environment that it is about.
    pub fn environment(&self) -> Option<&Name> {
        self.named.environment.as_ref().map(|environment| &environment.name)
    }

    /// A record of this kind about it.
    pub fn draft(&self, kind: Kind) -> Record {
        let mut record = Record::draft(kind);
        record.service = self.named.service.clone();
        record.project = self.named.project.clone();
        record.environment = self.named.environment.clone();
        record.of = Some(self.named.seq);
        record
    }

    /// Finds a record, verified by every step back to it.
    ///
    /// # Errors
    /// Where the log holds none of that number, or can't be read.
    pub fn find(seq: u64, ctx: &Context, settings: &Settings) -> Result<Original, Failure> {
        let store = settings.open_log_to_append(ctx)?;
        let known = Known::fetch(&store, &settings.trust, ctx.deadline())?;
        let newest = known.tip.as_ref().ok_or_else(|| no_log(&store))?.newest.record().seq;
        if seq > newest {
            return Err(Failure::usage(anyhow!("{} holds no record {seq}: the newest is {newest}", store.description()))
                .hint("`deploy-record log` lists them"));
        }
        let (mut found, mut end, mut start): (Option<Record>, Option<Record>, Option<Record>) = (None, None, None);
        let mut about = Vec::new();
        known.walk(&mut |step| {
            let record = step.record();
            let wanted = found.as_ref().and_then(|found| found.finishes);
            if record.seq == seq {
                found = Some(record.clone());
            } else if record.of.is_some() {
                about.push(record.clone());
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
        let named = found.ok_or_else(missing)?;
        let other = if named.status == Some(Status::Running) { end } else { start };
        let numbers = [Some(named.seq), other.as_ref().map(|other| other.seq)];
        about.retain(|record| numbers.contains(&record.of));
        Ok(Original { named, other, about })
    }
}
