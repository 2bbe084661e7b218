//! Media that a client gives by URL while its provider takes them in place only: which they are, and how they get in.
//!
//! Fetching is the gateway's; here nothing is read from anywhere.

use base64::{Engine, engine::general_purpose::STANDARD};

use crate::{
    chat::{Block, Chat, Content, Source},
    error::EncodeError,
    inbound,
    provider::{Operation, Provider, Target},
    request::Request,
};

/// Media by the URL that the client gave.
#[derive(Clone, Debug, Default)]
pub struct Fetched {
    media: Vec<Medium>,
}

#[derive(Clone, Debug)]
struct Medium {
    url: String,
    media_type: String,
    /// base64.
    data: String,
}

/// URLs of a request's media that `provider` takes in place only, each once. Takes a full reading of requests that may
/// have some; costs nothing for others.
///
/// # Errors
/// The client's fault: a member of the wrong shape.
pub fn wanted(
    provider: &dyn Provider,
    operation: Operation,
    request: &Request,
    target: &Target<'_>,
) -> Result<Vec<String>, EncodeError> {
    if !operation.generates() || provider.speaks_with(operation, target.model) || !request.media().may_be_elsewhere() {
        return Ok(Vec::new());
    }
    let mut chat = inbound::read(operation, request, target)?;
    let mut urls = Vec::new();
    for_each_source(&mut chat, &mut |source| {
        if let Source::Url(url) = source
            && url.starts_with("http")
            && provider.wants_in_place(url)
            && !urls.contains(url)
        {
            urls.push(url.clone());
        }
    });
    Ok(urls)
}

impl Fetched {
    /// Nothing.
    pub const NONE: &'static Self = &Self { media: Vec::new() };

    /// Adds what was found at `url`.
    pub fn add(&mut self, url: String, media_type: String, bytes: &[u8]) {
        self.media.push(Medium { url, media_type, data: STANDARD.encode(bytes) });
    }

    /// Nothing was to be fetched.
    pub(crate) fn is_empty(&self) -> bool {
        self.media.is_empty()
    }

    /// Replaces the URLs by what was found there.
    pub(crate) fn put_into(&self, chat: &mut Chat) {
        if self.is_empty() {
            return;
        }
        for_each_source(chat, &mut |source| {
            let Source::Url(url) = source else { return };
            if let Some(medium) = self.media.iter().find(|medium| medium.url == *url) {
                *source = Source::Inline { media_type: medium.media_type.clone(), data: medium.data.clone() };
            }
        });
    }
}

fn for_each_source(chat: &mut Chat, act: &mut impl FnMut(&mut Source)) {
    for turn in &mut chat.turns {
        for_each_in(&mut turn.blocks, act);
    }
}

fn for_each_in(blocks: &mut [Block], act: &mut impl FnMut(&mut Source)) {
    for block in blocks {
        match &mut block.content {
            Content::Image { source, .. } | Content::Document { source, .. } | Content::Audio(source) => act(source),
            Content::ToolResult { content, .. } => for_each_in(content, act),
            Content::Text(_)
            | Content::Thinking { .. }
            | Content::RedactedThinking(_)
            | Content::ToolCall(_)
            | Content::Refusal(_) => {}
        }
    }
}
