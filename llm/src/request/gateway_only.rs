//! Members that speak to the gateway, not to the model: they are deleted before a request goes on.

macro_rules! members {
    ($($name:literal,)*) => {
        /// Deleted from every forwarded body. `metadata` is not here: some providers take it.
        pub const GATEWAY_ONLY: &[&str] = &[$($name),*];

        /// A match compares lengths first, which settles most names of a request without looking at a byte.
        fn listed(name: &str) -> bool {
            matches!(name, $($name)|*)
        }
    };
}

members! {
    "additional_drop_params",
    "allowed_openai_params",
    "api_base",
    "api_key",
    "api_version",
    "base_url",
    "cache",
    "caching",
    "content_policy_fallbacks",
    "context_window_fallback_dict",
    "context_window_fallbacks",
    "custom_llm_provider",
    "disable_fallbacks",
    "drop_params",
    "fallbacks",
    "guardrails",
    "max_retries",
    "mock_delay",
    "mock_response",
    "mock_timeout",
    "mock_tool_calls",
    "no-log",
    "num_retries",
    "stream_timeout",
    "tags",
    "timeout",
}

/// Members that start with one of these are deleted too.
pub const GATEWAY_ONLY_PREFIXES: &[&str] = &["litellm_", "mock_testing_"];

/// Whether a member never leaves the gateway.
pub fn gateway_only(name: &str) -> bool {
    listed(name) || GATEWAY_ONLY_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}
