//! A request that comes as a form (RFC 7578): where its parts lie, strictly read so that no upstream can read another form.

use bytes::Bytes;
use memchr::memmem;

use super::ScanError;
use crate::{json::Span, provider::CompiledParams, request::gateway_only, splice::Splices};

/// Most parts of a form.
const MOST_PARTS: usize = 128;
/// Most bytes of a part's headers.
const MOST_HEAD: usize = 16 * 1024;
/// Longest boundary (RFC 2046).
const MOST_BOUNDARY: usize = 70;

/// A form's parts, in order.
#[derive(Clone, Debug)]
pub(crate) struct Form {
    boundary: Box<str>,
    /// As the client said it.
    content_type: Box<str>,
    parts: Vec<Part>,
}

#[derive(Clone, Debug)]
struct Part {
    name: Box<str>,
    is_file: bool,
    /// Its headers, with the empty line.
    head: Span,
    body: Span,
}

impl Form {
    /// Finds the parts.
    ///
    /// # Errors
    /// The client's fault: no form, or one that could be read in two ways.
    pub(super) fn scan(body: &[u8], content_type: &str) -> Result<Self, ScanError> {
        let boundary = boundary(content_type).ok_or_else(|| {
            wrong("This route takes a form: send Content-Type: multipart/form-data with a boundary of at most 70 characters.")
        })?;
        let delimiter = format!("--{boundary}");
        let within = format!("\r\n{delimiter}");
        let mut parts = Vec::new();
        let mut at = if body.starts_with(delimiter.as_bytes()) {
            delimiter.len()
        } else {
            // What stands before the first part is nobody's.
            memmem::find(body, within.as_bytes()).ok_or_else(|| wrong("The form has no part."))? + within.len()
        };
        while !rest(body, at).starts_with(b"--") {
            if !rest(body, at).starts_with(b"\r\n") || parts.len() >= MOST_PARTS {
                return Err(wrong("The form is malformed, or has more than 128 parts."));
            }
            let start = at + 2;
            // The line's own end may be that of no header at all.
            let length = memmem::find(rest(body, at), b"\r\n\r\n").ok_or_else(|| wrong("The form ends early."))?;
            let head = Span { start, end: (at + length + 4).max(start) };
            let length = memmem::find(rest(body, head.end), within.as_bytes());
            let end = head.end + length.ok_or_else(|| wrong("The form ends early."))?;
            let (name, is_file) = described(head.of(body))?;
            parts.push(Part { name: name.into(), is_file, head, body: Span { start: head.end, end } });
            at = end + within.len();
        }
        Ok(Self { boundary: boundary.into(), content_type: content_type.into(), parts })
    }

    /// For the upstream, which gets the same boundary.
    pub(crate) fn content_type(&self) -> &str {
        &self.content_type
    }

    /// The text of the parts that are no files, in order.
    pub(super) fn texts<'a>(&'a self, body: &'a [u8]) -> impl Iterator<Item = (&'a str, &'a [u8])> {
        let texts = self.parts.iter().filter(|part| !part.is_file);
        texts.map(|part| (&*part.name, part.body.of(body)))
    }

    /// Bytes of all files.
    pub(crate) fn files(&self) -> u64 {
        self.parts.iter().filter(|part| part.is_file).map(|part| part.body.len() as u64).sum()
    }

    /// How many files there are.
    pub(crate) fn file_count(&self) -> u64 {
        self.parts.iter().filter(|part| part.is_file).count() as u64
    }

    /// The form with another model, the backend's `params` applied, and without what is the gateway's own. Files are shared.
    pub(crate) fn encode(&self, body: &Bytes, model: &str, params: &CompiledParams) -> Splices {
        let mut pieces = Vec::with_capacity(self.parts.len() * 3 + 4);
        let mut names: Vec<&str> = Vec::with_capacity(self.parts.len());
        for part in &self.parts {
            let is_model = &*part.name == "model";
            let is_kept = part.is_file || is_model || !(params.drops(&part.name) || gateway_only(&part.name));
            if !is_kept || &*part.name == "metadata" {
                continue;
            }
            let name = if part.is_file || is_model { &*part.name } else { params.name_of(&part.name) };
            names.push(name);
            if is_model || *name != *part.name {
                let text = if is_model { Bytes::copy_from_slice(model.as_bytes()) } else { slice(body, part.body) };
                pieces.extend(self.text(name, text));
            } else {
                pieces.push(Bytes::from(format!("--{}\r\n", self.boundary)));
                pieces.push(slice(body, Span { start: part.head.start, end: part.body.end }));
                pieces.push(Bytes::from_static(b"\r\n"));
            }
        }
        if !names.contains(&"model") {
            pieces.extend(self.text("model", Bytes::copy_from_slice(model.as_bytes())));
        }
        for (name, text) in params.texts() {
            if !names.contains(&name) {
                pieces.extend(self.text(name, text));
            }
        }
        pieces.push(Bytes::from(format!("--{}--\r\n", self.boundary)));
        pieces.into_iter().collect()
    }

    fn text(&self, name: &str, text: Bytes) -> [Bytes; 3] {
        let name = name.replace('"', "%22").replace(['\r', '\n'], " ");
        let head = format!("--{}\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n", self.boundary);
        [Bytes::from(head), text, Bytes::from_static(b"\r\n")]
    }
}

fn slice(body: &Bytes, span: Span) -> Bytes {
    // The spans come from a scan of this body.
    if span.end <= body.len() && span.start <= span.end { body.slice(span.start..span.end) } else { Bytes::new() }
}

fn rest(body: &[u8], at: usize) -> &[u8] {
    body.get(at..).unwrap_or_default()
}

fn boundary(content_type: &str) -> Option<&str> {
    let (kind, params) = content_type.split_once(';')?;
    if !kind.trim().eq_ignore_ascii_case("multipart/form-data") {
        return None;
    }
    let mut given = params.split(';').filter_map(|param| param.split_once('='));
    let (_, value) = given.find(|(name, _)| name.trim().eq_ignore_ascii_case("boundary"))?;
    let value = value.trim();
    let value = value.strip_prefix('"').and_then(|value| value.strip_suffix('"')).unwrap_or(value);
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"'()+_,-./:=? ".contains(&byte);
    let is_sound = (1..=MOST_BOUNDARY).contains(&value.len()) && value.bytes().all(is_plain) && !value.ends_with(' ');
    is_sound.then_some(value)
}

/// A part's name, and whether it is a file.
fn described(head: &[u8]) -> Result<(String, bool), ScanError> {
    let odd =
        || wrong("A part of the form has headers that cannot be read; it needs one Content-Disposition with a name.");
    let text = std::str::from_utf8(head).ok().filter(|text| text.len() <= MOST_HEAD).ok_or_else(odd)?;
    let mut found = None;
    for line in text.split("\r\n").filter(|line| !line.is_empty()) {
        let (name, value) = line.split_once(':').ok_or_else(odd)?;
        // No folded lines, no stray line ends: others may read them otherwise.
        if name.is_empty() || name.contains(|at: char| at.is_whitespace()) || value.contains(['\r', '\n']) {
            return Err(odd());
        }
        if name.eq_ignore_ascii_case("content-disposition") && found.replace(value).is_some() {
            return Err(odd());
        }
    }
    named(found.ok_or_else(odd)?).ok_or_else(odd)
}

/// Reads `form-data; name="..."; filename="..."`.
fn named(disposition: &str) -> Option<(String, bool)> {
    let (kind, mut rest) = disposition.split_once(';')?;
    if !kind.trim().eq_ignore_ascii_case("form-data") {
        return None;
    }
    let (mut name, mut is_file) = (None, false);
    loop {
        let (key, after) = rest.split_once('=')?;
        let (value, after) = parameter(after.trim_start())?;
        match key.trim().to_ascii_lowercase().as_str() {
            "name" if name.is_none() => name = Some(value),
            "filename" | "filename*" => is_file = true,
            // A second name, or one in another writing.
            key if key.starts_with("name") => return None,
            _ => {}
        }
        let after = after.trim_start();
        if after.is_empty() {
            return Some((name?, is_file));
        }
        rest = after.strip_prefix(';')?;
        if rest.trim().is_empty() {
            return Some((name?, is_file));
        }
    }
}

/// A parameter's value, and what comes after it.
fn parameter(text: &str) -> Option<(String, &str)> {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find(';').unwrap_or(text.len());
        let (value, after) = text.split_at_checked(end)?;
        let value = value.trim();
        return (!value.is_empty() && !value.contains(['"', ' '])).then(|| (value.to_owned(), after));
    };
    let mut value = String::new();
    let mut chars = quoted.char_indices();
    while let Some((at, char)) = chars.next() {
        match char {
            '"' => return Some((value, quoted.get(at + 1..)?)),
            '\\' => value.push(chars.next()?.1),
            _ => value.push(char),
        }
    }
    None
}

fn wrong(message: &'static str) -> ScanError {
    ScanError { message: message.into(), param: None, code: "invalid_form" }
}
