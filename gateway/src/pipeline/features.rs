//! What routing is told of a request: what its body needs, as far as the group asks, with its tags and its sender.

use http::HeaderMap;
use turnpike_llm::{
    features::{self, Wanted},
    provider::Operation,
    request::Request,
};
use turnpike_routing::{
    features::Features,
    group::{Group, Member, Sticky, Strategy},
    hash,
};

use super::forward;
use crate::config::snapshot::Caller;

/// Where the features of a request are found.
#[derive(Clone, Copy, Debug)]
pub struct Source<'a> {
    /// The route that was called.
    pub operation: Operation,
    /// The body.
    pub request: &'a Request,
    /// The client's headers.
    pub client: &'a HeaderMap,
    /// Whose request it is.
    pub caller: &'a Caller,
}

impl Source<'_> {
    /// Whether the request itself has tags.
    pub fn has_tags(&self) -> bool {
        !self.request.tags().is_empty() || forward::has_tags(self.client)
    }

    /// Those that this group chooses by.
    pub fn features(&self, group: &Group) -> Features {
        let keywords = group.complexity.as_ref().map(|complexity| &*complexity.keywords);
        let wanted =
            Wanted { prefix: wants_prefix(group), words: keywords.filter(|_| group.strategy == Strategy::Complexity) };
        let found = features::of(self.operation, self.request, wanted);
        Features {
            prompt_tokens: found.prompt_tokens,
            output_tokens: found.output_tokens,
            vision: found.has_images,
            tools: found.has_tools,
            json_schema: found.wants_schema,
            stream: self.request.stream(),
            embeddings: self.operation == Operation::Embeddings,
            tags: self.tags(group),
            sender: self.sender(&group.sticky),
            prefix: found.prefix,
            words: found.words,
            complex: found.is_complex,
        }
    }

    /// Those of the request, and of its key's those that a member has: the others are labels for reports, which must not turn
    /// a request away from members that have none.
    fn tags(&self, group: &Group) -> Vec<Box<str>> {
        let is_known = |tag: &str| {
            let mut own = group.members.iter().flat_map(|member| member.tags.iter().chain(&member.traits.tags));
            own.any(|own| **own == *tag)
        };
        let mut tags = forward::tags(self.client);
        tags.extend(self.request.tags().iter().map(|tag| tag.as_str().into()));
        tags.extend(self.caller.tags.iter().filter(|tag| is_known(tag)).cloned());
        tags
    }

    fn sender(&self, sticky: &Sticky) -> Option<u64> {
        let sender = match sticky {
            Sticky::None => return None,
            Sticky::Key => self.caller.key_id.as_bytes(),
            Sticky::User => self.request.user()?.as_bytes(),
            Sticky::Header(name) => self.client.get(&**name)?.as_bytes(),
        };
        (!sender.is_empty()).then(|| hash::of(sender))
    }
}

/// Whether the group, or a deployment of it for its replicas, chooses by the beginning of the prompt.
fn wants_prefix(group: &Group) -> bool {
    let of_deployment = |member: &Member| member.deployment.as_ref().map(|deployment| deployment.strategy);
    group.strategy == Strategy::PrefixAffinity
        || group.members.iter().any(|member| of_deployment(member) == Some(Strategy::PrefixAffinity))
}
