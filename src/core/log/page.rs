//! The branch's `README.md`: a page for people, made from the state. It is covered by the commit's signature, never computed
//! again.

use super::message;
use crate::core::escape::{markdown_inline, shell_quoted};
use crate::core::record::{Kind, Line, Name, Record, Status, Time};
use crate::core::state::{Mark, OpenReview, Place, ROUND_SIZE, Recent, State};
use crate::core::time::readable;
use minijinja::syntax::SyntaxConfig;
use minijinja::{Environment, Value, context};

const TEMPLATE: &str = include_str!("../../../templates/log-page.md.j2");

/// The page after this record, on a branch of this name, which is a valid name of one.
///
/// # Errors
/// Where the built-in template is wrong, which a test rules out.
pub fn render(state: &State, newest: &Record, branch: &str) -> Result<String, anyhow::Error> {
    let mut environment = Environment::empty();
    environment.set_syntax(SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build()?);
    // every value is escaped, whatever the template says: titles and names come from anyone
    environment.set_formatter(|out, _, value: &Value| {
        let text = value.to_string();
        let text = if value.is_safe() { text } else { markdown_inline(&text) };
        out.write_str(&text).map_err(minijinja::Error::from)
    });
    environment.add_template("page", TEMPLATE)?;
    let mut page = environment.get_template("page")?.render(context! {
        // digits and hexadecimal digits only, and in a code block, where nothing needs an escape
        checkpoint => Value::from_safe_string(state.checkpoint().to_string()),
        branch => Value::from_safe_string(shell_quoted(branch)),
        signer => Value::from_safe_string(shell_quoted(newest.signer.as_str())),
        verify_time => Value::from_safe_string(newest.recorded_at.utc().format("%Y%m%d%H%M%SZ").to_string()),
        has_class => state.recent.iter().any(|recent| recent.class.is_some() || recent.approver.is_some()),
        newest => message::summary(newest),
        recorded_at => readable(state.recorded_at.utc()),
        since => readable(state.since.utc()),
        records => state.newest.seq,
        running => state.places.iter().rev().filter_map(|place| running(state, place)).map(Value::from).collect::<Vec<_>>(),
        open => state.places.iter().rev().flat_map(|place| open(state, place)).map(Value::from).collect::<Vec<_>>(),
        recent => state.recent.iter().map(|known| recent(state, known)).map(Value::from).collect::<Vec<_>>(),
        reviews => state.reviews.iter().map(|known| review(state, known)).map(Value::from).collect::<Vec<_>>(),
        holds => state.holds.iter().map(|known| mark(state, known)).map(Value::from).collect::<Vec<_>>(),
        missing_reasons => state.missing_reasons.iter().map(|known| mark(state, known)).map(Value::from).collect::<Vec<_>>(),
    })?;
    // a round size, as the state's
    page.extend(std::iter::repeat_n('\n', page.len().next_multiple_of(ROUND_SIZE) - page.len()));
    Ok(page)
}

/// One line of a table of the page.
#[derive(Debug, Default)]
struct Row {
    seq: u64,
    place: String,
    version: String,
    sha: String,
    when: String,
    took: String,
    who: String,
    status: String,
    class: String,
    approver: String,
}

impl From<Row> for Value {
    fn from(row: Row) -> Value {
        let Row { seq, place, version, sha, when, took, who, status, class, approver } = row;
        context! { seq, place, version, sha, when, took, who, status, class, approver }
    }
}

fn running(state: &State, place: &Place) -> Option<Row> {
    let runs = place.runs.as_ref()?;
    Some(Row {
        seq: runs.seq,
        place: place_name(state, (place.project, place.path.as_ref()), place.service.as_ref(), &place.environment),
        version: runs.version.to_string(),
        sha: runs.sha.as_ref().map(|sha| sha.short().to_owned()).unwrap_or_default(),
        when: readable(runs.at.utc()),
        who: runs.actor.as_ref().map(ToString::to_string).unwrap_or_default(),
        status: if runs.kind == Kind::Rollback { "rolled back to".to_owned() } else { String::new() },
        ..Row::default()
    })
}

fn open(state: &State, place: &Place) -> impl Iterator<Item = Row> {
    place.open.iter().map(move |open| Row {
        seq: open.seq,
        place: place_name(state, (place.project, place.path.as_ref()), place.service.as_ref(), &place.environment),
        version: open.version.to_string(),
        when: readable(open.started_at.utc()),
        ..Row::default()
    })
}

fn recent(state: &State, recent: &Recent) -> Row {
    let status = match (recent.kind, recent.status) {
        (Kind::Rollback, status) => format!("rollback {status}"),
        (_, Status::Running) => "began, no end on record".to_owned(),
        (_, status) => status.to_string(),
    };
    Row {
        seq: recent.seq,
        place: place_name(state, (recent.project, recent.path.as_ref()), recent.service.as_ref(), &recent.environment),
        version: recent.version.to_string(),
        when: readable(recent.started_at.utc()),
        took: recent.finished_at.map(|end| took(recent.started_at, end)).unwrap_or_default(),
        who: recent.actor.as_ref().map(ToString::to_string).unwrap_or_default(),
        status,
        class: recent.class.map(|class| class.to_string()).unwrap_or_default(),
        approver: recent.approver.as_ref().map(ToString::to_string).unwrap_or_default(),
        ..Row::default()
    }
}

fn review(state: &State, review: &OpenReview) -> Row {
    Row {
        seq: review.seq,
        place: place_name(state, (review.project, review.path.as_ref()), review.service.as_ref(), &review.environment),
        version: review.version.to_string(),
        when: review.due.map(|due| readable(due.utc())).unwrap_or_default(),
        who: review.assignee.as_ref().map(ToString::to_string).unwrap_or_default(),
        ..Row::default()
    }
}

fn mark(state: &State, mark: &Mark) -> Row {
    Row {
        seq: mark.seq,
        place: place_name(state, (mark.project, mark.path.as_ref()), mark.service.as_ref(), &mark.environment),
        version: mark.version.to_string(),
        when: readable(mark.at.utc()),
        ..Row::default()
    }
}

/// Project, service and environment, the project only where the log knows several.
fn place_name(state: &State, (id, path): (Option<u64>, Option<&Line>), service: Option<&Name>, environment: &Name) -> String {
    let project = state.has_several_projects().then(|| state.project_name(id, path));
    let parts = [project, service.map(ToString::to_string), Some(environment.to_string())];
    parts.into_iter().flatten().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(", ")
}

fn took(start: Time, end: Time) -> String {
    crate::core::time::duration(u64::try_from((end.utc() - start.utc()).num_seconds()).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::record::tests::example;
    use crate::core::record::{Digest, Line};

    #[test]
    fn a_page_shows_what_runs_and_escapes_what_people_wrote() {
        let mut record = example(Kind::Deployment);
        record.finishes = None;
        record.version = Line::clean("1.4.2 | <img src=x> [a](javascript:b) @all #12");
        let state = State::after(None, &record, Digest::of(b"record"));
        let page = render(&state, &record, "deploy-log").expect("page");
        assert!(page.contains("## Running now"), "{page}");
        for bad in ["<img", "](javascript", " @all", " #12", "| <"] {
            assert!(!page.contains(bad), "{bad} in\n{page}");
        }
        let tables = page.lines().filter(|line| line.starts_with('|')).count();
        assert_eq!(tables, 9, "{page}");
    }
}
