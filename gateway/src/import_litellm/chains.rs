//! Lists of fallbacks, in LiteLLM's shape and in those that people write.

use serde_json::Value;
use turnpike_crds::model_deployment::FallbackOn;

use super::section::{self, Context, Section};

/// Stands for every group.
pub(super) const ANY: &str = "*";

/// Which failures a chain is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cause {
    /// All that no list of their own takes.
    Any,
    ContextWindow,
    ContentPolicy,
}

/// `group: [others]`.
#[derive(Clone, Debug)]
pub(super) struct Chain {
    pub(super) path: String,
    pub(super) from: String,
    pub(super) to: Vec<String>,
    pub(super) cause: Cause,
}

const LISTS: [(&str, Cause); 3] = [
    ("fallbacks", Cause::Any),
    ("context_window_fallbacks", Cause::ContextWindow),
    ("content_policy_fallbacks", Cause::ContentPolicy),
];

/// The chains of a section.
pub(super) fn read(section: &mut Section<'_>, context: &mut Context<'_>) -> Vec<Chain> {
    let mut chains = Vec::new();
    for (name, cause) in LISTS {
        let path = section.path(name);
        match section.take(name) {
            Some(Value::Array(items)) => {
                for (at, item) in items.iter().enumerate() {
                    chains.extend(entry(&format!("{path}[{at}]"), item, cause, context));
                }
            }
            Some(value) => chains.extend(entry(&path, value, cause, context)),
            None => {}
        }
    }
    let path = section.path("default_fallbacks");
    let to = section.texts("default_fallbacks", context);
    if !to.is_empty() {
        chains.push(Chain { path, from: ANY.to_owned(), to, cause: Cause::Any });
    }
    chains
}

/// `{group: [others]}`, or `{model_name: group, fallback_models: [others]}`.
fn entry(path: &str, value: &Value, cause: Cause, context: &mut Context<'_>) -> Vec<Chain> {
    let mut section = Section::new(path, Some(value), context);
    if section.has("model_name") && section.has("fallback_models") {
        let from = section.text("model_name", context);
        let to = section.texts("fallback_models", context);
        section.finish(&[], context);
        return from.map(|from| Chain { path: path.to_owned(), from, to, cause }).into_iter().collect();
    }
    let mut chains = Vec::new();
    for (from, others) in section.others() {
        let path = section.path(from);
        let to = names(&path, others, context);
        chains.push(Chain { path, from: from.to_owned(), to, cause });
    }
    chains
}

/// Names of groups; an entry that changes parameters as well is one here only by its model.
pub(super) fn names(path: &str, value: &Value, context: &mut Context<'_>) -> Vec<String> {
    let items = match value {
        Value::Array(items) => items.as_slice(),
        single => std::slice::from_ref(single),
    };
    let mut names = Vec::new();
    for (at, item) in items.iter().enumerate() {
        let path = format!("{path}[{at}]");
        if item.is_object() {
            let mut section = Section::new(&*path, Some(item), context);
            names.extend(section.text("model", context));
            let text =
                "a fallback's own parameters are not carried over: make a ModelDeployment with spec.provider.params";
            for (name, _) in section.others() {
                context.hand(format!("{path}.{name}"), text);
            }
        } else {
            names.extend(section::texts(&path, item, context));
        }
    }
    names
}

/// The failures that a chain is for; `has`: whether there are chains of a cause.
pub(super) fn on(cause: Cause, has: impl Fn(Cause) -> bool) -> Vec<FallbackOn> {
    match cause {
        Cause::ContextWindow => vec![FallbackOn::ContextWindow],
        Cause::ContentPolicy => vec![FallbackOn::ContentPolicy],
        Cause::Any => {
            let mut on = vec![FallbackOn::Error, FallbackOn::RateLimit, FallbackOn::Timeout];
            let typed =
                [(Cause::ContextWindow, FallbackOn::ContextWindow), (Cause::ContentPolicy, FallbackOn::ContentPolicy)];
            on.extend(typed.into_iter().filter(|(cause, _)| !has(*cause)).map(|(_, on)| on));
            on
        }
    }
}
