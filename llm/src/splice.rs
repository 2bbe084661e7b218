//! Bodies as lists of slices: a changed body shares the bytes that did not change.

use bytes::Bytes;

use crate::json::Span;

mod assemble;
mod editor;

use assemble::Assembler;

pub use editor::Editor;

/// A body with one range of it replaced.
pub(crate) fn replaced(body: &Bytes, range: Span, new: &Bytes) -> Splices {
    let mut out = Assembler::new(body);
    out.keep(Span { start: 0, end: range.start });
    out.share(new);
    out.keep(Span { start: range.end, end: body.len() });
    out.finish()
}

/// A body in slices, to be sent one after the other.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Splices {
    parts: Vec<Bytes>,
    len: usize,
}

impl Splices {
    /// Total bytes: the Content-Length.
    pub fn len(&self) -> usize {
        self.len
    }

    /// True for no bytes at all.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The slices, none of them empty.
    pub fn parts(&self) -> &[Bytes] {
        &self.parts
    }

    /// One buffer; copies only where there is more than one slice.
    pub fn to_bytes(&self) -> Bytes {
        match self.parts.as_slice() {
            [] => Bytes::new(),
            [only] => only.clone(),
            parts => parts.concat().into(),
        }
    }

    fn push(&mut self, part: Bytes) {
        if !part.is_empty() {
            self.len += part.len();
            self.parts.push(part);
        }
    }
}

impl From<Bytes> for Splices {
    fn from(body: Bytes) -> Self {
        let mut splices = Self::default();
        splices.push(body);
        splices
    }
}

impl FromIterator<Bytes> for Splices {
    fn from_iter<I: IntoIterator<Item = Bytes>>(parts: I) -> Self {
        let mut splices = Self::default();
        parts.into_iter().for_each(|part| splices.push(part));
        splices
    }
}

impl IntoIterator for Splices {
    type Item = Bytes;
    type IntoIter = std::vec::IntoIter<Bytes>;

    fn into_iter(self) -> Self::IntoIter {
        self.parts.into_iter()
    }
}
