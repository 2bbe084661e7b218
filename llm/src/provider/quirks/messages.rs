//! What messages may hold at single providers, and how answers hold theirs.

use crate::{json::Member, provider::Shown};

/// What the content of a message may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Parts {
    /// A text or a list of parts.
    Any,
    /// Lists that hold nothing but texts are sent as one text.
    Joined,
    /// A text only: everything else is refused.
    TextOnly,
}

/// A member of messages that an upstream refuses.
#[derive(Debug)]
pub(crate) struct Unread {
    /// Its name.
    pub(crate) member: &'static str,
    /// The one role, as JSON, whose messages may have it; empty = none.
    pub(crate) except: &'static str,
    /// Only where it says nothing.
    pub(crate) null: bool,
}

impl Unread {
    /// Whether a message of this role (as JSON) has it and must not.
    pub(crate) fn is_in(&self, role: &[u8], message: &[u8], members: &[Member]) -> bool {
        role != self.except.as_bytes()
            && members
                .iter()
                .any(|member| member.is(self.member, message) && (!self.null || member.value.of(message) == b"null"))
    }
}

const fn never(member: &'static str) -> Unread {
    Unread { member, except: "", null: false }
}

const fn null(member: &'static str) -> Unread {
    Unread { member, except: "", null: true }
}

/// How contents come in answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answers {
    /// As texts.
    Plain,
    /// As lists of parts where the model thinks.
    InParts,
    /// As texts that may begin with `<think>`: servers that read no thinking leave it there.
    Tagged,
    /// The same of models that are said to reason: the server may be any.
    TaggedIfReasoning,
}

impl Answers {
    /// Whether contents may begin with `<think>`.
    pub(crate) fn may_think(self, shown: &Shown) -> bool {
        self == Self::Tagged || (self == Self::TaggedIfReasoning && shown.reasons)
    }
}

/// What clients hand back of other providers' answers, or of this one's as their SDK dumps them.
pub(super) const OTHERS: &[Unread] = &[
    never("reasoning_content"),
    never("reasoning_details"),
    never("thinking_blocks"),
    never("refusal"),
    never("annotations"),
    null("audio"),
    null("function_call"),
    never("images"),
    never("provider_specific_fields"),
    never("cache_control"),
];

/// For one that takes names of tools only.
pub(super) const NAMES: &[Unread] = &[Unread { member: "name", except: "\"tool\"", null: false }];

/// Groq's and vLLM's name of `reasoning_content`.
pub(super) const REASONING: &[Unread] = &[never("reasoning")];
