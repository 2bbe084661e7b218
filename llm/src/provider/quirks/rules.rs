//! What single parameters need at some providers and model families: renamed, replaced, removed or refused.

use crate::provider::Operation;

/// One parameter's fate.
#[derive(Debug)]
pub(crate) struct Rule {
    /// The member's name as OpenAI has it.
    pub(crate) param: &'static str,
    /// In which requests.
    pub(crate) on: On,
    /// For which models.
    pub(crate) family: Family,
    /// What is done.
    pub(crate) act: Act,
}

/// The requests that a rule is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum On {
    /// All.
    Any,
    /// chat/completions.
    Chat,
    /// embeddings.
    Embeddings,
}

/// The models that a rule is for, told by the last part of their names.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Family {
    /// Every model.
    All,
    /// Those that begin with one of these, unless with one of those; `x-` is `x` as well, but not `x.1`.
    Starts(&'static [&'static str], &'static [&'static str]),
}

/// What is done to a parameter.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Act {
    /// Sent under this name.
    Rename(&'static str),
    /// This JSON value becomes that one.
    Map(&'static str, &'static str),
    /// With this JSON value, another member with that value is sent instead.
    Instead(&'static str, &'static str, &'static str),
    /// This JSON value where the client sent none.
    Default(&'static str),
    /// Removed in silence: it does not change the answer.
    Remove,
    /// Refused or, on request, removed; removed in silence where it has one of these JSON values, which change nothing.
    Refuse(&'static [&'static str]),
}

impl On {
    /// Whether the rule is for this operation.
    pub(crate) fn covers(self, operation: Operation) -> bool {
        match self {
            Self::Any => true,
            Self::Chat => operation == Operation::Chat,
            Self::Embeddings => operation == Operation::Embeddings,
        }
    }
}

impl Family {
    /// Whether the rule is for this model.
    pub(crate) fn covers(self, model: &str) -> bool {
        match self {
            Self::All => true,
            Self::Starts(starts, unless) => {
                let name = model.rsplit('/').next().unwrap_or(model);
                let begins = |start: &&str| name.starts_with(*start) || start.strip_suffix('-') == Some(name);
                starts.iter().any(begins) && !unless.iter().any(begins)
            }
        }
    }
}

const fn any(param: &'static str, act: Act) -> Rule {
    Rule { param, on: On::Any, family: Family::All, act }
}

const fn chat(param: &'static str, family: Family, act: Act) -> Rule {
    Rule { param, on: On::Chat, family, act }
}

/// Fine-tunes are called ft:BASE:...
const REASONING: Family = Family::Starts(&["gpt-5", "gpt-6", "o1-", "o3-", "o4-", "ft:gpt-5", "ft:o4-"], &[]);
const O_SERIES: Family = Family::Starts(&["o1-", "o3-", "o4-", "ft:o4-"], &[]);
/// Later ones (gpt-5.1, ...) take sampling parameters when told not to reason: the upstream is the judge there.
const GPT_5: Family = Family::Starts(&["gpt-5-"], &["gpt-5-chat", "gpt-5-search"]);
const NOT_REASONING: Family = Family::Starts(&["gpt-3.5", "gpt-35", "gpt-4"], &[]);

const ZERO: &[&str] = &["0", "0.0"];
const ONE: &[&str] = &["1", "1.0"];
const OFF: &[&str] = &["false", "0"];
const EMPTY: &[&str] = &["{}"];

/// OpenAI's own models, wherever they are served.
pub(crate) const OPENAI_FAMILIES: &[Rule] = &[
    chat("max_tokens", REASONING, Act::Rename("max_completion_tokens")),
    chat("temperature", GPT_5, Act::Refuse(ONE)),
    chat("top_p", GPT_5, Act::Refuse(ONE)),
    chat("presence_penalty", GPT_5, Act::Refuse(ZERO)),
    chat("frequency_penalty", GPT_5, Act::Refuse(ZERO)),
    chat("logprobs", GPT_5, Act::Refuse(OFF)),
    chat("top_logprobs", GPT_5, Act::Refuse(OFF)),
    chat("logit_bias", GPT_5, Act::Refuse(EMPTY)),
    chat("stop", GPT_5, Act::Refuse(&[])),
    chat("temperature", O_SERIES, Act::Refuse(ONE)),
    chat("top_p", O_SERIES, Act::Refuse(ONE)),
    chat("presence_penalty", O_SERIES, Act::Refuse(ZERO)),
    chat("frequency_penalty", O_SERIES, Act::Refuse(ZERO)),
    chat("logprobs", O_SERIES, Act::Refuse(OFF)),
    chat("top_logprobs", O_SERIES, Act::Refuse(OFF)),
    chat("logit_bias", O_SERIES, Act::Refuse(EMPTY)),
    // They make one call at a time anyway.
    chat("parallel_tool_calls", O_SERIES, Act::Remove),
    chat("reasoning_effort", NOT_REASONING, Act::Refuse(&[])),
];

/// Knows only the older name.
pub(crate) const MAX_TOKENS: &[Rule] = &[chat("max_completion_tokens", Family::All, Act::Rename("max_tokens"))];

/// Refuses or ignores the end user's name; it has no bearing on the answer.
pub(crate) const NO_USER: &[Rule] = &[any("user", Act::Remove)];

/// Answers 400 to all three.
pub(crate) const NO_LOGPROBS: &[Rule] =
    &[any("logprobs", Act::Refuse(OFF)), any("top_logprobs", Act::Refuse(OFF)), any("logit_bias", Act::Refuse(EMPTY))];

/// Answers 400 to it.
pub(crate) const NO_TOP_K: &[Rule] = &[chat("top_k", Family::All, Act::Refuse(&[]))];

/// Ignores it, which would change the answer.
pub(crate) const NO_LOGIT_BIAS: &[Rule] = &[any("logit_bias", Act::Refuse(EMPTY))];

/// Ignores `n` and gives one choice, or refuses it.
pub(crate) const ONE_CHOICE: &[Rule] = &[any("n", Act::Refuse(ONE))];

/// `required` is called `any`.
pub(crate) const TOOL_CHOICE_ANY: &[Rule] = &[chat("tool_choice", Family::All, Act::Map("\"required\"", "\"any\""))];

/// Refuses every member that it does not know.
pub(crate) const MISTRAL: &[Rule] = &[
    any("seed", Act::Rename("random_seed")),
    any("dimensions", Act::Rename("output_dimension")),
    chat("tool_choice", Family::All, Act::Map("\"required\"", "\"any\"")),
    any("logit_bias", Act::Refuse(EMPTY)),
    any("user", Act::Remove),
    any("logprobs", Act::Refuse(OFF)),
    any("top_logprobs", Act::Refuse(OFF)),
];

/// Hints to OpenAI itself, which have no bearing on the answer: refused where unknown members are.
pub(crate) const NO_HINTS: &[Rule] = &[any("store", Act::Remove), any("safety_identifier", Act::Remove)];

/// How it is served and what is kept of it, where that cannot be chosen.
pub(crate) const NO_SERVICE: &[Rule] = &[
    any("service_tier", Act::Remove),
    any("prompt_cache_key", Act::Remove),
    any("prompt_cache_retention", Act::Remove),
];

/// What only OpenAI's models do, likewise.
pub(crate) const NO_EXTRAS: &[Rule] = &[
    chat("modalities", Family::All, Act::Refuse(&["[\"text\"]"])),
    chat("audio", Family::All, Act::Refuse(&[])),
    chat("verbosity", Family::All, Act::Refuse(&["\"medium\""])),
    chat("web_search_options", Family::All, Act::Refuse(&[])),
];

/// Thinks unless told not to, and takes `none` for an error.
pub(crate) const DEEPSEEK: &[Rule] =
    &[chat("reasoning_effort", Family::All, Act::Instead("\"none\"", "thinking", "{\"type\":\"disabled\"}"))];

/// Answers 400 to an effort of a model that does not reason.
pub(crate) const GROQ_REASONING: &[Rule] = &[chat(
    "reasoning_effort",
    Family::Starts(&["llama-", "gemma", "mixtral", "allam", "kimi-k2"], &[]),
    Act::Refuse(&["\"none\""]),
)];

/// Groq's models that are held to a schema by the server.
pub(crate) const GROQ_WITHOUT_SCHEMAS: Family = Family::Starts(&[""], &["gpt-oss", "kimi-k2", "llama-4", "compound"]);

/// Models that tell questions from passages answer 400 without.
pub(crate) const NIM_EMBEDDINGS: &[Rule] = &[Rule {
    param: "input_type",
    on: On::Embeddings,
    family: Family::Starts(&["nv-embed", "llama-3.2-nv-embed", "llama-nemotron-embed", "e5-", "arctic-embed"], &[]),
    act: Act::Default("\"passage\""),
}];

/// Ignores tools and the like, which would change the answer.
pub(crate) const PERPLEXITY: &[Rule] = &[
    chat("tools", Family::All, Act::Refuse(&["[]"])),
    chat("tool_choice", Family::All, Act::Refuse(&["\"none\""])),
    chat("parallel_tool_calls", Family::All, Act::Remove),
    any("stop", Act::Refuse(&[])),
    any("seed", Act::Refuse(&[])),
    any("n", Act::Refuse(ONE)),
    any("user", Act::Remove),
];
