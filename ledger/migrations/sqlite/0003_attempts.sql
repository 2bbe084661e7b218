-- A request may take several attempts, each with a row of its own: which one it is, how many there were when it ended, and
-- what it was beside the one that answered (NULL): retried (it failed, and another followed), hedged (another was faster),
-- mirror (a copy whose answer nobody saw). A request that a kept answer was given to made none: 0 of 0.
ALTER TABLE spend_row ADD COLUMN attempt INTEGER NOT NULL DEFAULT 1;
ALTER TABLE spend_row ADD COLUMN attempts INTEGER NOT NULL DEFAULT 1;
ALTER TABLE spend_row ADD COLUMN role TEXT;

DROP VIEW "LiteLLM_SpendLogs";
DROP VIEW litellm_logs;
DROP VIEW spend;

-- Whole rows, in the gateway's own terms. LEFT JOIN, so that every query starts at the rows: they are found by time.
-- Rows with outcome `unattributed` are amounts that a lost gateway may have used; the metadata names the account. Their
-- cost is unknown (NULL), as one request may be in several of them.
CREATE VIEW spend AS
SELECT
    (SELECT uuid FROM spend_incarnation WHERE id = spend_row.id >> 44) AS incarnation,
    spend_row.id & ((1 << 44) - 1)     AS sequence,
    started_at_us, request_id, key_id, team, user, end_user, requested_model, model, provider, upstream_model, operation,
    stream, status, outcome, prompt_tokens, completion_tokens, cached_tokens, cache_write_tokens, reasoning_tokens,
    cost_nano, estimated, first_byte_us, latency_us, upstream_us, tags, metadata, attempt, attempts, role
FROM spend_row
LEFT JOIN spend_context AS context ON context.id = spend_row.context
UNION ALL
SELECT
    holder, number | (1 << 43),
    changed, 'unattributed', '', NULL, NULL, NULL, '', NULL, NULL, NULL, 'unattributed',
    0, 0, 'unattributed', 0, 0, 0, 0, 0,
    NULL, 1, NULL, 0, NULL, NULL,
    json_object('account', (SELECT id FROM ledger_account WHERE key = account), 'unattributed', unattributed),
    1, 1, NULL
FROM ledger_lease
WHERE unattributed > 0;

-- What the client of each request was answered with, at the cost of all its attempts.
CREATE VIEW spend_answer AS
SELECT
    started_at_us, request_id, key_id, team, user, end_user, requested_model, model, provider, upstream_model, operation,
    stream, status, outcome, prompt_tokens, completion_tokens, cached_tokens, cache_write_tokens, reasoning_tokens,
    CASE WHEN attempts <= 1 THEN cost_nano ELSE (
        SELECT sum(cost_nano) FROM spend_row AS other
        WHERE other.started_at_us = spend.started_at_us AND other.request_id = spend.request_id
    ) END AS cost_nano,
    estimated, first_byte_us, latency_us, upstream_us, tags, metadata, attempts
FROM spend
WHERE role IS NULL;

-- For people and their reports: one row per request, as its answer says, with the cost of all its attempts. Columns have
-- LiteLLM's names where it has one; cost_usd is NULL where no price is known.
CREATE VIEW litellm_logs AS
SELECT
    request_id,
    strftime('%Y-%m-%dT%H:%M:%fZ', started_at_us / 1e6, 'unixepoch')                AS start_time,
    strftime('%Y-%m-%dT%H:%M:%fZ', (started_at_us + latency_us) / 1e6, 'unixepoch') AS end_time,
    operation                          AS call_type,
    key_id                             AS api_key,
    key_id,
    team,
    user,
    end_user,
    coalesce(upstream_model, requested_model) AS model,
    requested_model                    AS model_group,
    model                              AS model_id,
    model                              AS backend,
    provider,
    prompt_tokens,
    completion_tokens,
    prompt_tokens + completion_tokens  AS total_tokens,
    cached_tokens,
    cache_write_tokens,
    reasoning_tokens,
    cost_nano,
    cost_nano / 1e9                    AS cost_usd,
    cost_nano / 1e9                    AS spend,
    estimated,
    stream,
    status                             AS status_code,
    outcome,
    CASE outcome WHEN 'success' THEN 'success' ELSE 'failure' END AS status,
    first_byte_us / 1e3                AS time_to_first_token_ms,
    latency_us / 1e3                   AS latency_ms,
    upstream_us / 1e3                  AS upstream_latency_ms,
    coalesce(tags, '[]')               AS tags,
    coalesce(metadata, '{}')           AS metadata,
    attempts,
    attempts = 0                       AS cache_hit
FROM spend_answer;

-- The same for tools that read LiteLLM's own table.
CREATE VIEW "LiteLLM_SpendLogs" AS
SELECT
    request_id,
    call_type,
    api_key,
    coalesce(spend, 0.0)               AS spend,
    total_tokens,
    prompt_tokens,
    completion_tokens,
    start_time                         AS "startTime",
    end_time                           AS "endTime",
    cast(latency_ms AS INTEGER)        AS request_duration_ms,
    model,
    coalesce(model_id, '')             AS model_id,
    model_group,
    coalesce(provider, '')             AS custom_llm_provider,
    coalesce(user, '')                 AS "user",
    team                               AS team_id,
    end_user,
    metadata,
    CASE WHEN cache_hit THEN 'True' ELSE 'False' END AS cache_hit,
    tags                               AS request_tags,
    status,
    request_id                         AS litellm_call_id
FROM litellm_logs;
