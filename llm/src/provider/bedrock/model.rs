//! What Bedrock's models can do beyond the API that they share, by their names.
//!
//! A name may carry a region group (`us.`, `eu.`, `global.`) and may be an ARN. Of an application's inference profile or a
//! provisioned model it says nothing: such a model is taken to be able to do whatever it is asked.

use crate::provider::anthropic;

/// Region groups of inference profiles.
const GROUPS: &[&str] = &["us-gov.", "us.", "eu.", "apac.", "global.", "jp.", "au.", "ca.", "in.", "sa."];

/// Families that know no tools.
const NO_TOOLS: &[&str] = &[
    "ai21.j2",
    "ai21.jamba-instruct",
    "amazon.titan",
    "anthropic.claude-instant",
    "anthropic.claude-v",
    "cohere.command-light",
    "cohere.command-text",
    "deepseek.r1",
    "meta.llama2",
    "meta.llama3-70b",
    "meta.llama3-8b",
    "mistral.mistral-7b",
    "mistral.mixtral",
];

/// Families that choose for themselves whether they call a tool.
const NO_FORCED_TOOLS: &[&str] = &["ai21.", "cohere.", "meta.", "writer."];

/// Families whose parameters include no `top_k`.
const NO_TOP_K: &[&str] = &["ai21.", "amazon.titan", "meta.", "openai."];

/// Families that know no system prompt.
const NO_SYSTEM: &[&str] = &[
    "ai21.j2",
    "amazon.titan",
    "cohere.command-light",
    "cohere.command-text",
    "mistral.mistral-7b",
    "mistral.mixtral",
];

/// Claude models that cannot cache a prompt; all newer ones can.
const NO_CACHE: &[&str] =
    &["claude-instant", "claude-v", "claude-3-haiku", "claude-3-sonnet", "claude-3-opus", "claude-3-5-sonnet-20240620"];

/// A model's name without region group and ARN.
#[derive(Clone, Copy, Debug)]
pub(super) struct Model<'a> {
    name: &'a str,
    /// An ARN that does not name the model.
    opaque: bool,
    claude: Option<anthropic::Model<'a>>,
}

/// How a model is told to think.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Thinking {
    /// It cannot, or does so untold.
    None,
    /// As Anthropic's models are, by a number of tokens.
    Budget,
    /// As Anthropic's models are, by an effort.
    Effort,
    /// Nova's `reasoningConfig`.
    Nova,
    /// `reasoning_effort`, as `OpenAI`'s open models have it.
    Plain,
}

impl<'a> Model<'a> {
    /// Reads an id, an inference profile's id or an ARN.
    pub(super) fn of(id: &'a str) -> Self {
        let name = match id.strip_prefix("arn:") {
            Some(arn) => arn.rsplit('/').next().unwrap_or(arn),
            None => id,
        };
        let opaque = id.starts_with("arn:") && !name.contains('.');
        let name = GROUPS.iter().find_map(|group| name.strip_prefix(group)).unwrap_or(name);
        let claude = name.starts_with("anthropic.").then(|| anthropic::Model::of(name));
        Self { name, opaque, claude }
    }

    /// Anthropic's.
    pub(super) fn is_claude(self) -> bool {
        self.claude.is_some()
    }

    /// Amazon's Nova.
    pub(super) fn is_nova(self) -> bool {
        self.name.starts_with("amazon.nova")
    }

    /// Cohere's.
    pub(super) fn is_cohere(self) -> bool {
        self.name.starts_with("cohere.")
    }

    /// Takes `toolConfig`.
    pub(super) fn has_tools(self) -> bool {
        !self.is_any(NO_TOOLS)
    }

    /// Takes a `toolChoice` other than `auto`.
    pub(super) fn has_forced_tools(self) -> bool {
        self.has_tools() && !self.is_any(NO_FORCED_TOOLS)
    }

    /// Takes `top_k`, by whatever name.
    pub(super) fn has_top_k(self) -> bool {
        !self.is_any(NO_TOP_K)
    }

    /// Takes `system`.
    pub(super) fn has_system(self) -> bool {
        !self.is_any(NO_SYSTEM)
    }

    /// Takes a tool result's `status`.
    pub(super) fn has_status(self) -> bool {
        self.opaque || self.is_claude() || self.is_nova()
    }

    /// Takes reasoning back that it has signed.
    pub(super) fn has_signatures(self) -> bool {
        self.opaque || self.is_claude()
    }

    /// Takes `cachePoint` in messages and the system prompt.
    pub(super) fn has_cache(self) -> bool {
        self.opaque || self.is_nova() || self.has_tool_cache()
    }

    /// Takes `cachePoint` among its tools.
    pub(super) fn has_tool_cache(self) -> bool {
        self.opaque || self.is_claude() && !NO_CACHE.iter().any(|name| self.name.contains(name))
    }

    /// Takes a schema of its answer and strict tools; and an hour's cache, which came with them.
    pub(super) fn takes_schema(self) -> bool {
        self.claude.is_some_and(anthropic::Model::takes_schema)
    }

    /// Takes `temperature`, `topP` and `top_k`. A Claude that thinks does not.
    pub(super) fn takes_sampling(self, thinks: bool) -> bool {
        self.claude.is_none_or(|claude| claude.takes_sampling() && !thinks)
    }

    /// How it is told to think.
    pub(super) fn thinking(self) -> Thinking {
        match self.claude.map(anthropic::Model::thinking) {
            Some(anthropic::Thinking::Budget) => Thinking::Budget,
            Some(anthropic::Thinking::Effort) => Thinking::Effort,
            None if self.opaque => Thinking::Budget,
            None if self.name.starts_with("amazon.nova-2") => Thinking::Nova,
            None if self.name.starts_with("openai.") => Thinking::Plain,
            _ => Thinking::None,
        }
    }

    /// Anthropic's, where it is.
    pub(super) fn claude(self) -> Option<anthropic::Model<'a>> {
        self.claude
    }

    fn is_any(self, families: &[&str]) -> bool {
        families.iter().any(|family| self.name.starts_with(family))
    }

    /// The name itself.
    pub(super) fn name(self) -> &'a str {
        self.name
    }
}
