//! The settings that carry over by a person's hand or not at all, as data: name, outcome, remedy.

use super::{
    notes::Outcome::{self, Changed, Hand, Left},
    section::Setting,
};

const NO_COUNTERPART: &str = "there is nothing of the kind";
const OBSERVED: &str =
    "there are no callbacks: use the metrics, the access log and the spend rows; `prometheus` is always on";
const BOUND: &str = "read PostgreSQL's rows or the metrics; nothing of the kind is sent by the gateway";
const CLOUD: &str = "the gateway's own identity serves instead: see its flags for identities in clouds";
const KEPT: &str =
    "kept answers lie in each gateway's memory and in the Redis of `--redis-url` (chart: redis.urlSecret)";
const IN_DATABASE: &str =
    "spend lies in SQLite or in the PostgreSQL of `--database-url`, which the gateway tends itself";
const OF_BEDROCK: &str = "only Bedrock has it";
const OF_VERTEX: &str = "only Vertex AI has it";
const OF_SEMANTIC: &str = "it counts with a type such as redis-semantic only";
const OF_AZURE: &str = "only Azure has it";

/// `litellm_params`.
pub(super) const PARAMS: &[Setting] = &[
    ("api_version", Left, OF_AZURE),
    ("tenant_id", Left, OF_AZURE),
    ("client_id", Left, OF_AZURE),
    ("client_secret", Left, OF_AZURE),
    ("aws_access_key_id", Left, OF_BEDROCK),
    ("aws_secret_access_key", Left, OF_BEDROCK),
    ("aws_session_token", Left, OF_BEDROCK),
    ("aws_role_name", Left, OF_BEDROCK),
    ("aws_region_name", Left, OF_BEDROCK),
    ("aws_bedrock_runtime_endpoint", Left, "api_base beside it says where the model is"),
    ("base_url", Left, "api_base beside it says where the model is"),
    ("vertex_project", Left, OF_VERTEX),
    ("vertex_location", Left, OF_VERTEX),
    ("vertex_credentials", Left, OF_VERTEX),
    ("itpm", Left, "rates count all tokens together: set limits.tpm"),
    ("otpm", Left, "rates count all tokens together: set limits.tpm"),
    (
        "azure_ad_token",
        Left,
        "tokens are fetched by the gateway: set tenant_id, client_id and client_secret, or use workload identity",
    ),
    ("azure_scope", Left, "the scope is Azure's usual one"),
    ("azure_username", Left, "use tenant_id, client_id and client_secret, or workload identity"),
    ("azure_password", Left, "use tenant_id, client_id and client_secret, or workload identity"),
    ("aws_session_name", Left, "set `--aws-role-session-name` at the gateway"),
    ("aws_profile_name", Left, CLOUD),
    ("aws_web_identity_token", Left, CLOUD),
    ("aws_sts_endpoint", Left, "set `--aws-sts-url` at the gateway"),
    ("aws_external_id", Hand, "the external id is always CLUSTER/NAMESPACE: name it in the role's trust policy"),
    ("timeout_by_service_tier", Left, "one time limit holds for all: spec.timeouts"),
    ("stream_timeout_by_service_tier", Left, "one time limit holds for all: spec.timeouts"),
    ("tag_regex", Left, "tags are compared as they are: list them in spec.tags"),
    ("allowed_openai_params", Changed, "parameters that are nobody's standard go on as they are"),
    ("modify_params", Left, "requests are translated as docs/providers.md says"),
    (
        "configurable_clientside_auth_params",
        Left,
        "clients cannot choose an address or key; make a ModelDeployment for each",
    ),
    (
        "cache_control_injection_points",
        Left,
        "let clients send cache_control; providers that cache by themselves need none",
    ),
    ("cost_per_second", Left, "time is only charged for engines of one's own: price.gpuHour"),
    ("input_cost_per_second", Left, "time is only charged for engines of one's own: price.gpuHour"),
    ("output_cost_per_second", Left, "time is only charged for engines of one's own: price.gpuHour"),
    (
        "cache_creation_input_token_cost",
        Left,
        "the built-in price of writing to a cache holds, unless inputPerMillion replaces it",
    ),
    ("allowed_fails_policy", Left, "allowedFails counts all failures together"),
    ("metadata", Left, NO_COUNTERPART),
    ("merge_reasoning_content_in_choices", Left, "reasoning stays in reasoning_content"),
    ("use_in_pass_through", Left, "name the provider in `--pass-through`"),
    ("litellm_trace_id", Left, NO_COUNTERPART),
];

/// `model_info`.
pub(super) const INFO: &[Setting] = &[
    ("id", Changed, "namespace and metadata.name take its place, in x-litellm-model-id, metrics and spend rows"),
    ("tier", Left, "use tags, or modelNames of their own for free and paid callers"),
    ("team_id", Hand, "put the model into the team's namespace, or name it in allowedModels of the team's keys only"),
    ("supported_environments", Left, "import it only where it belongs"),
    ("health_check_model", Left, "probes call no model; see health.path"),
    ("allowed_fails_policy", Left, "allowedFails counts all failures together"),
    ("output_vector_size", Left, NO_COUNTERPART),
    ("litellm_provider", Left, "litellm_params.model says it"),
    ("description", Left, "use an annotation"),
    ("db_model", Left, NO_COUNTERPART),
    ("created_at", Left, NO_COUNTERPART),
    ("updated_at", Left, NO_COUNTERPART),
    ("created_by", Left, NO_COUNTERPART),
    ("updated_by", Left, NO_COUNTERPART),
];

/// `router_settings`.
pub(super) const ROUTER: &[Setting] = &[
    ("routing_strategy_args", Left, "the strategies have no parameters: see docs/routing.md"),
    ("retry_after", Left, "pauses between attempts are as docs/routing.md says, or as long as the upstream asks"),
    ("allowed_fails_policy", Left, "allowedFails counts all failures together; rate limits and content never count"),
    ("max_fallbacks", Left, "a request falls back at most five times"),
    (
        "enable_pre_call_checks",
        Changed,
        "prompts are always checked against windows and abilities before a model is chosen",
    ),
    (
        "optional_pre_call_checks",
        Changed,
        "limits of models are always enforced; for affinity use a route with stickyBy, or strategy PrefixAffinity",
    ),
    (
        "tag_filtering_match_any",
        Left,
        "one of a request's plain tags is enough; clients write &TAG where each must be there",
    ),
    ("tag_routing_prefix", Left, "tags are compared as they are"),
    ("redis_url", Hand, "set `--redis-url` at the gateways (chart: redis.urlSecret)"),
    ("redis_host", Hand, "set `--redis-url redis://HOST:PORT` at the gateways (chart: redis.urlSecret)"),
    ("redis_port", Hand, "it is part of `--redis-url`"),
    ("redis_password", Hand, "it is part of `--redis-url`, which belongs into a Secret"),
    ("redis_db", Hand, "it is part of `--redis-url`"),
    ("cache_responses", Hand, "set spec.cache of the models; litellm_settings.cache is what the importer reads"),
    ("client_ttl", Left, "connections are kept as long as they are of use"),
    (
        "provider_budget_config",
        Hand,
        "make a Budget with scope.namespace and scope.models for the names that the provider serves",
    ),
    ("routing_groups", Hand, "make a ModelDeployment with spec.route over the models"),
    ("enable_weighted_failover", Changed, "a failed member is never asked again while there is another"),
    ("enable_health_check_routing", Changed, "backends whose probes fail are always left alone"),
    ("default_priority", Left, "requests have no priority; those that wait take turns by key"),
    ("set_verbose", Left, "use `--log`"),
    ("debug_level", Left, "use `--log`"),
];

/// `litellm_settings`.
pub(super) const LITELLM: &[Setting] = &[
    ("modify_params", Left, "requests are translated as docs/providers.md says"),
    ("set_verbose", Left, "use `--log debug`"),
    ("json_logs", Left, "logs are JSON unless `--log-format text`"),
    ("telemetry", Left, "nothing is ever sent home"),
    ("callbacks", Left, OBSERVED),
    ("success_callback", Left, OBSERVED),
    ("failure_callback", Left, OBSERVED),
    ("service_callback", Left, OBSERVED),
    ("turn_off_message_logging", Changed, "prompts and answers are never logged"),
    ("redact_user_api_key_info", Changed, "keys are never logged, only their ids"),
    (
        "max_end_user_budget_id",
        Hand,
        "make a Budget with scope.endUser and share PerUser from that budget of the database",
    ),
    ("default_team_params", Hand, "make a Budget with scope.team for each team"),
    (
        "upperbound_key_generate_params",
        Hand,
        "make a Budget with scope.namespace and share PerKey: it bounds every key",
    ),
    ("key_generation_settings", Hand, "who may make keys is who may create VirtualKeys: Kubernetes' RBAC says it"),
    ("budget_exceeded_status_code", Hand, "set `--budget-exceeded-status`: 429 unless it says 422 or 400"),
    ("budget_rollover", Left, "a window starts again at 0"),
    ("budget_reset_time", Left, "windows start at midnight of spec.timeZone"),
    (
        "require_auth_for_metrics_endpoint",
        Changed,
        "the public /metrics needs the admin key; the internal listener's needs none",
    ),
    (
        "include_cost_in_streaming_usage",
        Changed,
        "usage.cost is in the usage chunk of every stream that asks for usage",
    ),
    ("forward_traceparent_to_llm_provider", Left, NO_COUNTERPART),
    ("ssl_verify", Left, "certificates are always checked: name your authorities in `--ca-file`"),
    ("ssl_certificate", Left, "end TLS before the gateway"),
    ("force_ipv4", Left, "addresses of both kinds are tried at once"),
    ("enable_json_schema_validation", Left, "answers are as the provider enforces them"),
    ("cost_discount_config", Hand, "set spec.price of the models that cost less"),
    ("cost_margin_config", Hand, "set spec.price of the models that are to cost more"),
    ("public_model_groups", Left, "/v1/models shows what a key may call"),
    (
        "block_requests_for_models_without_pricing",
        Changed,
        "under a limit in USD a model without a price is always refused",
    ),
    ("model_group_settings", Left, "headers go on as docs/configuration.md says"),
    ("default_in_memory_ttl", Left, "set spec.cache.ttl"),
    ("default_redis_ttl", Left, "set spec.cache.ttl"),
    ("default_redis_batch_cache_expiry", Left, KEPT),
    ("guardrails", Left, "there are no guardrails: put them before or behind the gateway"),
    ("ui_theme_config", Left, "there is no console yet"),
];

/// `litellm_settings.cache_params`.
pub(super) const CACHE: &[Setting] = &[
    ("host", Hand, "set `--redis-url redis://HOST:PORT` at the gateways (chart: redis.urlSecret)"),
    ("port", Hand, "it is part of `--redis-url`"),
    ("password", Hand, "it is part of `--redis-url`, which belongs into a Secret"),
    ("username", Hand, "it is part of `--redis-url`"),
    ("url", Hand, "set `--redis-url` at the gateways (chart: redis.urlSecret)"),
    ("redis_url", Hand, "set `--redis-url` at the gateways (chart: redis.urlSecret)"),
    ("db", Hand, "it is part of `--redis-url`"),
    ("ssl", Hand, "write `--redis-url rediss://HOST:PORT`"),
    ("redis_startup_nodes", Left, "one Redis is used, not a cluster of them"),
    ("service_name", Left, "one Redis is used, without sentinels"),
    ("sentinel_nodes", Left, "one Redis is used, without sentinels"),
    ("namespace", Left, "kept answers lie apart by model, key and team already"),
    ("supported_call_types", Changed, "chats, completions, embeddings, messages and responses are kept; speech is not"),
    ("max_messages", Left, "conversations of any length are kept"),
    ("max_connections", Left, KEPT),
    ("similarity_threshold", Left, OF_SEMANTIC),
    ("redis_semantic_cache_embedding_model", Left, OF_SEMANTIC),
    ("valkey_semantic_cache_embedding_model", Left, OF_SEMANTIC),
    ("qdrant_semantic_cache_embedding_model", Left, OF_SEMANTIC),
    ("s3_bucket_name", Left, KEPT),
    ("s3_region_name", Left, KEPT),
    ("gcs_bucket_name", Left, KEPT),
    ("disk_cache_dir", Left, KEPT),
    ("semantic_cache_scope", Left, "it is that of spec.cache.scope"),
    ("redis_semantic_cache_index_name", Left, "prompts are compared in each gateway's memory"),
    ("valkey_semantic_cache_index_name", Left, "prompts are compared in each gateway's memory"),
    ("qdrant_api_base", Left, "prompts are compared in each gateway's memory"),
    ("qdrant_api_key", Left, "prompts are compared in each gateway's memory"),
    ("qdrant_collection_name", Left, "prompts are compared in each gateway's memory"),
    ("qdrant_quantization_config", Left, "prompts are compared in each gateway's memory"),
];

/// `general_settings`.
pub(super) const GENERAL: &[Setting] = &[
    (
        "master_key",
        Hand,
        "give it to the gateway in TURNPIKE_ADMIN_KEY or LITELLM_MASTER_KEY; the chart makes an admin key of its own. It is not copied",
    ),
    (
        "database_url",
        Hand,
        "set `--database-url` or DATABASE_URL to an empty database of its own in PostgreSQL (chart: database.urlSecret). LiteLLM's tables are not read",
    ),
    (
        "store_model_in_db",
        Hand,
        "models that were added in LiteLLM's pages are in its database: list them in model_list, and import again",
    ),
    ("supported_db_objects", Left, IN_DATABASE),
    ("database_connection_pool_limit", Left, IN_DATABASE),
    ("database_connection_timeout", Left, IN_DATABASE),
    ("database_connection_pool_timeout", Left, IN_DATABASE),
    ("proxy_batch_write_at", Left, IN_DATABASE),
    ("disable_spend_logs", Left, "spend is always recorded: budgets count it"),
    ("disable_spend_updates", Left, "spend is always recorded: budgets count it"),
    ("disable_error_logs", Left, "failed requests are rows of spend, too"),
    ("disable_reset_budget", Left, "windows start again by the clock"),
    ("store_prompts_in_spend_logs", Left, "prompts and answers are never stored"),
    ("maximum_spend_logs_retention_period", Hand, "set `--spend-retention-days`"),
    ("maximum_spend_logs_retention_interval", Left, "old rows go as `--spend-retention-days` says"),
    ("use_redis_transaction_buffer", Left, "spend is in a file of the gateway's before it is in the database"),
    (
        "allow_requests_on_db_unavailable",
        Hand,
        "set onStoreUnavailable: FailOpen on Budgets that are to let requests pass then",
    ),
    ("disable_budget_reservation", Left, "set enforcement: Soft on Budgets that are to count afterwards"),
    ("fail_closed_budget_enforcement", Changed, "Budgets are FailClosed unless they say FailOpen"),
    ("fail_closed_rate_limit_enforcement", Left, "without Redis and database each gateway counts rates by itself"),
    (
        "apply_user_budget_to_team_keys",
        Changed,
        "every budget that covers a key must let a request pass, a user's as well as a team's",
    ),
    ("user_api_key_cache_ttl", Left, "keys are known without asking anybody, and a revoked one is refused at once"),
    ("user_api_key_cache_max_size", Left, "keys are known without asking anybody"),
    ("health_check_details", Left, "details are on the internal listener"),
    ("health_check_concurrency", Left, "at most 16 probes are under way"),
    ("use_shared_health_check", Left, "each gateway probes for itself"),
    ("alerting", Left, BOUND),
    ("alerting_threshold", Left, BOUND),
    ("alerting_args", Left, BOUND),
    ("alert_types", Left, BOUND),
    ("alert_to_webhook_url", Left, BOUND),
    ("spend_report_frequency", Left, BOUND),
    ("max_parallel_requests", Hand, "set limits.maxParallel of VirtualKeys"),
    ("global_max_parallel_requests", Hand, "set `--max-in-flight`, for each gateway"),
    ("max_request_size_mb", Hand, "set `--max-body-bytes`"),
    ("max_response_size_mb", Left, "answers stream through; there is no largest one"),
    ("proxy_budget_rescheduler_min_time", Left, "windows start again by the clock"),
    ("proxy_budget_rescheduler_max_time", Left, "windows start again by the clock"),
    ("proxy_config_reload_interval_seconds", Left, "changes are served within a second"),
    (
        "litellm_key_header_name",
        Left,
        "keys come in Authorization, x-api-key, api-key, x-goog-api-key or x-litellm-api-key",
    ),
    ("user_header_name", Left, "end users come in the request's `user`"),
    ("user_header_mappings", Left, "end users come in the request's `user`"),
    ("use_x_forwarded_for", Left, "addresses of clients decide nothing here"),
    ("allowed_ips", Hand, "use a NetworkPolicy (chart: networkPolicy.gateway.clients)"),
    ("allowed_routes", Left, NO_COUNTERPART),
    ("admin_only_routes", Left, NO_COUNTERPART),
    ("public_routes", Left, NO_COUNTERPART),
    ("custom_auth", Left, "keys are VirtualKeys; there is no code of one's own in the gateway"),
    ("enforce_user_param", Left, NO_COUNTERPART),
    ("completion_model", Left, "clients name a model; give one an alias"),
    ("pass_through_endpoints", Hand, "providers' own APIs are served with `--pass-through`; other addresses are not"),
    ("key_management_system", Hand, "have your secret store write Kubernetes Secrets, and refer to those"),
    ("key_management_settings", Hand, "have your secret store write Kubernetes Secrets, and refer to those"),
    ("enable_jwt_auth", Left, "keys are VirtualKeys; tokens of identity providers are not taken"),
    ("litellm_jwtauth", Left, "keys are VirtualKeys; tokens of identity providers are not taken"),
    ("token_rate_limit_type", Left, "rates count all tokens together"),
    ("disable_custom_api_keys", Left, "who may create VirtualKeys may bring a key; Kubernetes' RBAC says who"),
    ("cancel_on_disconnect", Changed, "a request whose client left is cancelled, and what it used is charged"),
    ("enforce_fallback_model_access", Left, "fallbacks are chosen by who deploys models; keys need no right to them"),
    ("dangerously_allow_mock_testing_request_params", Left, "mock_testing_* members work with the admin key only"),
    ("ui_access_mode", Left, "there is no console yet"),
    ("forward_client_headers_to_llm_api", Left, "headers go on as docs/configuration.md says"),
    ("infer_model_from_keys", Left, "models are those that are deployed"),
    ("coordination_redis", Hand, "set `--redis-url` at the gateways (chart: redis.urlSecret)"),
    ("include_call_id_in_error_body", Left, "it is in the header x-litellm-call-id"),
    ("disable_master_key_return", Left, NO_COUNTERPART),
];

/// The config's own members.
pub(super) const SECTIONS: &[Setting] = &[
    ("include", Hand, "other files are not read: put their content into one file, and import again"),
    ("callback_settings", Left, OBSERVED),
    ("guardrails", Left, "there are no guardrails: put them before or behind the gateway"),
    ("mcp_servers", Left, NO_COUNTERPART),
    ("mcp_tools", Left, NO_COUNTERPART),
    ("agent_list", Left, NO_COUNTERPART),
    ("vector_store_registry", Left, NO_COUNTERPART),
    ("prompts", Left, NO_COUNTERPART),
    ("search_tools", Left, NO_COUNTERPART),
    ("files_settings", Left, NO_COUNTERPART),
    ("finetune_settings", Left, NO_COUNTERPART),
    ("assistant_settings", Left, NO_COUNTERPART),
    ("pass_through_endpoints", Hand, "providers' own APIs are served with `--pass-through`; other addresses are not"),
];

/// What `default_key_generate_params` and the like hold that nothing here has.
pub(super) const KEY: &[Setting] = &[
    ("user_role", Left, "who may manage is Kubernetes' RBAC to say"),
    ("soft_budget", Hand, "make a Budget with onExceed: Notify"),
    ("teams", Hand, "write subject.team of the VirtualKeys"),
    ("permissions", Left, NO_COUNTERPART),
    ("key_type", Left, NO_COUNTERPART),
    ("guardrails", Left, NO_COUNTERPART),
];

/// An outcome of a strategy that is not one here.
pub(super) const OTHER_STRATEGY: (Outcome, &str) =
    (Hand, "there is no such strategy: Weighted takes its place; choose another poolStrategy, see docs/routing.md");

/// An entry of `credential_list`.
pub(super) const CREDENTIAL: &[Setting] = &[("credential_info", Left, "use an annotation of the Secret")];
