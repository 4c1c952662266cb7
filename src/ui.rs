//! The only place that prints: results on standard output, everything said to a person on standard error.
//!
//! Colours appear only where the stream is a terminal that takes them (`NO_COLOR`, `CLICOLOR`, `CLICOLOR_FORCE`, `TERM`).
//! Whatever goes to standard error is first scrubbed of secrets and then escaped, so a text from outside can neither act on
//! the terminal nor pass for a message of ours: lines after the first are indented. A result is escaped by its maker, who
//! knows its format. A reader who closed standard output early, such as `head`, is no error; any other failure is kept.

use std::io::{self, IsTerminal, Write};
use std::sync::{Mutex, PoisonError};

use anstream::adapter::strip_str;
use anstream::{AutoStream, ColorChoice};
use anstyle::{AnsiColor, Style};
use zeroize::Zeroizing;

use crate::core::escape;

pub mod json;
mod progress;
pub mod table;

pub use json::json_pretty;
pub use progress::Progress;

#[cfg(test)]
mod tests;

/// Width of the frame of [`Ui::loud`], in characters.
const FRAME: usize = 76;

const PROGRAM: Style = Style::new().dimmed();
const WARNING: Style = AnsiColor::Yellow.on_default().bold();
const ERROR: Style = AnsiColor::Red.on_default().bold();
const HINT: Style = AnsiColor::Cyan.on_default().bold();

/// Where the program's output goes.
pub struct Ui {
    verbose: u8,
    scrub: Box<dyn Fn(&str) -> String + Send + Sync>,
    failure: Mutex<Option<io::Error>>,
}

impl Ui {
    /// `verbose`: how often `-v` was given. `scrub` takes secrets out of a text before it reaches standard error.
    pub fn new(verbose: u8, scrub: Box<dyn Fn(&str) -> String + Send + Sync>) -> Ui {
        Ui { verbose, scrub, failure: Mutex::new(None) }
    }

    /// Prints a result, which must be escaped already, and a line feed where it has none at its end.
    pub fn result(&self, text: &str) {
        let open = !text.is_empty() && !text.ends_with('\n');
        let end = if open { "\n" } else { "" };
        let mut stream = anstream::stdout().lock();
        self.keep_failure(write!(stream, "{text}{end}").and_then(|()| stream.flush()));
    }

    /// Prints a result byte by byte; on a terminal what would act there is escaped.
    pub fn result_bytes(&self, bytes: &[u8]) {
        if self.is_terminal_out() {
            let text = String::from_utf8_lossy(bytes);
            return self.result(&escape::terminal_lines(&text));
        }
        let mut stream = io::stdout().lock();
        self.keep_failure(stream.write_all(bytes).and_then(|()| stream.flush()));
    }

    /// What kept a result from being printed, as a full disk; to be asked for before the program ends with success.
    pub fn output_failure(&self) -> Option<io::Error> {
        let mut failure = self.failure.lock().unwrap_or_else(PoisonError::into_inner);
        failure.take()
    }

    fn keep_failure(&self, written: io::Result<()>) {
        if let Err(error) = written
            && error.kind() != io::ErrorKind::BrokenPipe
        {
            let mut failure = self.failure.lock().unwrap_or_else(PoisonError::into_inner);
            failure.get_or_insert(error);
        }
    }

    /// Says what happens.
    pub fn say(&self, text: &str) {
        print_message(&self.message("", Style::new(), text));
    }

    /// Says what is wrong although the work goes on.
    pub fn warn(&self, text: &str) {
        print_message(&self.message("warning: ", WARNING, text));
    }

    /// Says what to do next.
    pub fn hint(&self, text: &str) {
        print_message(&self.hint_line(text));
    }

    /// Says what happens in detail; only where `-v` was given.
    pub fn verbose(&self, text: &str) {
        if self.verbose > 0 {
            self.say(text);
        }
    }

    /// Says what failed with all its causes on one line, then each hint on a line of its own.
    pub fn error(&self, chain: &anyhow::Error, hints: &[String]) {
        let mut lines = self.message("error: ", ERROR, &causes(chain));
        lines.extend(hints.iter().map(|hint| self.hint_line(hint)));
        print_message(&lines);
    }

    /// Says something that nobody may overlook in a long job log: within a frame.
    pub fn loud(&self, text: &str) {
        let rule = "=".repeat(FRAME);
        let message = self.message("", WARNING, text);
        print_message(&format!("\n{WARNING}{rule}{WARNING:#}\n{message}{WARNING}{rule}{WARNING:#}\n\n"));
    }

    /// Whether there is somebody to ask: standard input and error are terminals.
    pub fn has_person(&self) -> bool {
        io::stdin().is_terminal() && io::stderr().is_terminal()
    }

    /// Asks a person for one line; `None` where standard input or error is no terminal.
    ///
    /// # Errors
    /// When the terminal can't be read.
    pub fn ask(&self, question: &str) -> io::Result<Option<String>> {
        if !self.has_person() {
            return Ok(None);
        }
        print_message(question);
        let mut answer = String::new();
        io::stdin().read_line(&mut answer)?;
        let answer = answer.trim();
        Ok((!answer.is_empty()).then(|| answer.to_owned()))
    }

    /// Asks a person for a passphrase, without showing it; `None` where there is no terminal.
    ///
    /// # Errors
    /// When the terminal can't be read.
    pub fn ask_passphrase(&self, question: &str) -> io::Result<Option<Zeroizing<String>>> {
        if !self.has_person() {
            return Ok(None);
        }
        print_message(question);
        rpassword::read_password().map(|text| Some(Zeroizing::new(text)))
    }

    /// Prints help as the argument parser has it.
    pub fn print_help(words: &clap::Error) {
        // Without a stream that takes it there is nobody left to tell.
        let _ = words.print();
    }

    /// Prints the program's name and version, as the argument parser would.
    pub fn print_version() {
        let _ = writeln!(io::stdout(), "deploy-record {}", env!("CARGO_PKG_VERSION"));
    }

    /// Says what is wrong with the arguments, which may hold anything.
    pub fn usage_error(&self, words: &str) {
        print_message(&format!("{}\n", escape::terminal_lines(&(self.scrub)(words.trim_end()))));
    }

    /// What shows how far long work has come.
    pub fn progress(&self) -> Progress {
        Progress::new()
    }

    /// Whether standard output is a terminal.
    pub fn is_terminal_out(&self) -> bool {
        io::stdout().is_terminal()
    }

    /// Columns of the terminal that standard output is; `None` elsewhere, or where the terminal does not tell.
    pub fn width(&self) -> Option<usize> {
        let size = rustix::termios::tcgetwinsize(io::stdout()).ok()?;
        (size.ws_col > 0).then_some(usize::from(size.ws_col))
    }

    fn message(&self, label: &str, style: Style, text: &str) -> String {
        let text = self.harmless(text);
        format!("{PROGRAM}deploy-record:{PROGRAM:#} {style}{label}{style:#}{text}\n")
    }

    fn hint_line(&self, text: &str) -> String {
        format!("{HINT}hint:{HINT:#} {}\n", self.harmless(text))
    }

    /// Scrubbed, escaped, and indented from the second line on.
    fn harmless(&self, text: &str) -> String {
        let scrubbed = (self.scrub)(text.trim_end_matches('\n'));
        escape::terminal_lines(&scrubbed).replace('\n', "\n  ")
    }
}

/// The error and its causes, joined by colons; a cause that the text before it already tells is left out.
fn causes(chain: &anyhow::Error) -> String {
    let mut result = String::new();
    for cause in chain.chain() {
        let cause = cause.to_string();
        if result.ends_with(&cause) && !result.is_empty() {
            continue;
        }
        if !result.is_empty() {
            result.push_str(": ");
        }
        result.push_str(&cause);
    }
    result
}

/// In one go, so that lines of a command that prints at the same time do not come in between.
fn print_message(text: &str) {
    let mut stream = io::stderr();
    let message = match AutoStream::choice(&stream) {
        ColorChoice::Never => strip_str(text).to_string(),
        _ => format!("{}{text}", progress::erase()),
    };
    // Without standard error there is nobody left to tell.
    let _ = stream.write_all(message.as_bytes());
}
