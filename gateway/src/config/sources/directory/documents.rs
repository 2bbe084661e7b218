//! Cuts a manifest's file into documents and reads each by itself, so that a fault has a document and a line.

use serde_json::Value;

/// One document of a file.
#[derive(Debug)]
pub(super) struct Document {
    /// Counted from 1, as people do.
    pub(super) number: usize,
    /// Its first line with content within the file, counted from 1.
    pub(super) line: u64,
    /// What it says.
    pub(super) content: Result<Value, SyntaxError>,
}

/// Why a document cannot be read.
#[derive(Debug)]
pub(super) struct SyntaxError {
    /// Line within the file, where known.
    pub(super) line: Option<u64>,
    /// Without any of the file's content, which may be secret.
    pub(super) message: String,
}

/// The documents of a file that are not empty.
pub(super) fn read(bytes: &[u8]) -> Vec<Document> {
    let Ok(text) = std::str::from_utf8(bytes) else {
        let error = SyntaxError { line: None, message: "the file is not UTF-8 text".to_owned() };
        return vec![Document { number: 1, line: 1, content: Err(error) }];
    };
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut documents = Vec::new();
    for (line, part) in split(text) {
        let Some(first) = (line..).zip(part.lines()).find(|(_, line)| has_content(line)) else { continue };
        let content =
            parse(part).map_err(|error| SyntaxError { line: error.line.map(|within| line + within - 1), ..error });
        if !matches!(content, Ok(Value::Null)) {
            documents.push(Document { number: documents.len() + 1, line: first.0, content });
        }
    }
    documents
}

/// Cuts before every line that starts with `---`: at the start of a line that is a document's start wherever it
/// stands, even within a block of text.
fn split(text: &str) -> Vec<(u64, &str)> {
    let mut parts = Vec::new();
    let (mut start, mut start_line) = (0, 1);
    let mut at = 0;
    for (line, content) in (1..).zip(text.split_inclusive('\n')) {
        let marker = content
            .strip_prefix("---")
            .is_some_and(|rest| rest.is_empty() || rest.starts_with([' ', '\t', '\r', '\n']));
        if marker && at > start {
            parts.push((start_line, text.get(start..at).unwrap_or_default()));
            (start, start_line) = (at, line);
        }
        at += content.len();
    }
    parts.push((start_line, text.get(start..).unwrap_or_default()));
    parts
}

fn has_content(line: &str) -> bool {
    let line = line.trim();
    !(line.is_empty() || line.starts_with(['#', '%']) || line == "---" || line == "...")
}

fn parse(part: &str) -> Result<Value, SyntaxError> {
    let options = serde_saphyr::options! { strict_booleans: true, with_snippet: false };
    serde_saphyr::from_str_with_options::<Value>(part, options).map_err(|error| {
        let message = error.without_snippet().to_string();
        // The place at its end counts from the document's start, not from the file's.
        let message = message.rsplit_once(" at line ").map_or(message.as_str(), |(fault, _)| fault);
        let line = error.location().map(|location| location.line()).filter(|line| *line > 0);
        SyntaxError { line, message: message.to_owned() }
    })
}
