//! Where an answer has its claims from, as OpenAI's `url_citation` annotations.

use std::collections::HashSet;

use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};

use super::wire::{Candidate, Citations, Grounding, Page, Segment};

#[derive(Serialize)]
struct Annotation<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    url_citation: UrlCitation<'a>,
}

/// Indexes count characters.
#[derive(Serialize)]
struct UrlCitation<'a> {
    start_index: usize,
    end_index: usize,
    url: &'a str,
    title: &'a str,
}

/// Searches that an answer took.
pub(super) fn queries(candidate: &Candidate) -> u64 {
    candidate.grounding_metadata.as_ref().map_or(0, |grounding| grounding.web_search_queries.len() as u64)
}

/// What supports which stretch of the text.
pub(super) fn annotations(
    text: &str,
    grounding: Option<&Grounding>,
    citations: Option<&Citations>,
) -> Vec<Box<RawValue>> {
    let mut out: Vec<Box<RawValue>> = Vec::new();
    if let Some(grounding) = grounding {
        for support in &grounding.supports {
            let at = support.segment.as_ref().and_then(|segment| characters(text, segment));
            let pages = support.grounding_chunk_indices.iter().filter_map(|at| grounding.chunks.get(*at)?.page());
            out.extend(pages.filter_map(|page| annotation(at.unwrap_or_default(), &page.uri, page.title.as_deref())));
        }
        if grounding.supports.is_empty() {
            let pages = grounding.chunks.iter().filter_map(|chunk| chunk.page());
            out.extend(pages.filter_map(|Page { uri, title }| annotation((0, 0), uri, title.as_deref())));
        }
    }
    for citation in citations.into_iter().flat_map(|citations| &citations.citations) {
        let at = (before(text, citation.start_index), before(text, citation.end_index));
        out.extend(annotation(at, &citation.uri, citation.title.as_deref()));
    }
    let mut known = HashSet::new();
    out.retain(|annotation| known.insert(annotation.get().to_owned()));
    out
}

fn annotation((start_index, end_index): (usize, usize), url: &str, title: Option<&str>) -> Option<Box<RawValue>> {
    if url.is_empty() {
        return None;
    }
    let url_citation = UrlCitation { start_index, end_index, url, title: title.unwrap_or(url) };
    to_raw_value(&Annotation { kind: "url_citation", url_citation }).ok()
}

/// Google counts bytes, and of one part: a segment that lies elsewhere is looked for by its words.
fn characters(text: &str, segment: &Segment) -> Option<(usize, usize)> {
    let found = text.get(segment.start_index..segment.end_index);
    let (start, end) = match found {
        Some(found) if segment.text.is_empty() || found == segment.text => (segment.start_index, segment.end_index),
        _ if segment.text.is_empty() => return None,
        _ => text.find(&segment.text).map(|start| (start, start + segment.text.len()))?,
    };
    Some((before(text, start), before(text, end)))
}

/// Characters before this byte.
fn before(text: &str, at: usize) -> usize {
    text.char_indices().take_while(|(index, _)| *index < at).count()
}
