//! `litellm_settings.cache` and `cache_params` to `spec.cache`.

use turnpike_crds::{
    DurationString,
    model_deployment::{Cache, SemanticCache},
};

use super::{
    defaults::is_some_time,
    section::{Context, Section},
    settings,
};

/// How long answers are kept where nothing is said, as LiteLLM has it.
const MEMORY_TTL: &str = "600s";
const REDIS_TTL: &str = "60s";

/// Where LiteLLM finds the model that compares prompts, and the one that it has by default.
const EMBEDDING: [&str; 3] = [
    "redis_semantic_cache_embedding_model",
    "valkey_semantic_cache_embedding_model",
    "qdrant_semantic_cache_embedding_model",
];
const EMBEDDING_MODEL: &str = "text-embedding-ada-002";

/// What every model caches; `None` = nothing.
pub(super) fn read(litellm: &mut Section<'_>, context: &mut Context<'_>) -> Option<Cache> {
    let wanted = litellm.flag("cache", context).unwrap_or_default();
    let cache_path = litellm.path("cache");
    let mut params = litellm.section("cache_params", context);
    let kind = params.text("type", context).unwrap_or_else(|| "local".to_owned());
    let ttl = params.seconds("ttl", context).filter(is_some_time);
    let by_request = params.text("mode", context).is_some_and(|mode| mode == "default_off");
    let is_semantic = kind.ends_with("-semantic");
    let semantic = is_semantic.then(|| semantic(&mut params, context)).flatten();
    if wanted && !matches!(kind.as_str(), "local" | "redis") && !is_semantic {
        let text = "answers are kept in each gateway's memory and in Redis, nowhere else";
        context.changed(params.path("type"), text);
    }
    if wanted && by_request {
        let text = "no model caches: requests cannot turn it on. Set cache.enabled where it is wanted";
        context.hand(params.path("mode"), text);
    }
    params.finish(settings::CACHE, context);
    if !wanted || by_request {
        return None;
    }
    context
        .changed(cache_path, "each key has kept answers of its own; cache.scope Cluster shares them, as LiteLLM does");
    let usual = if kind.contains("redis") { REDIS_TTL } else { MEMORY_TTL };
    Some(Cache { enabled: true, ttl: ttl.or_else(|| Some(DurationString::from(usual))), semantic, ..Cache::default() })
}

fn semantic(params: &mut Section<'_>, context: &mut Context<'_>) -> Option<SemanticCache> {
    let model = EMBEDDING.into_iter().find_map(|name| params.text(name, context));
    let path = params.path("similarity_threshold");
    let threshold = params.number("similarity_threshold", context).filter(|number| *number > 0.0 && *number <= 1.0);
    if threshold.is_none() {
        context.hand(path, "answers to like prompts need a likeness above 0 and up to 1; set it and import again");
    }
    Some(SemanticCache {
        // As many decimals as the field takes.
        threshold: format!("{:.6}", threshold?).trim_end_matches('0').trim_end_matches('.').to_owned(),
        embedding_model: model.unwrap_or_else(|| EMBEDDING_MODEL.to_owned()),
    })
}
