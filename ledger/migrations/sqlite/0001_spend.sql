-- One run of a gateway. Its UUID would be 16 bytes in every row.
CREATE TABLE spend_incarnation (
    id   INTEGER NOT NULL PRIMARY KEY,
    uuid BLOB    NOT NULL UNIQUE
) STRICT;

-- What many rows have in common, said once: most of a row's text. Each connection writes its own contexts as it meets them,
-- so that equal ones may be here more than once; only their ids count.
CREATE TABLE spend_context (
    id              INTEGER NOT NULL PRIMARY KEY,
    key_id          TEXT    NOT NULL,
    team            TEXT,
    user            TEXT,
    requested_model TEXT    NOT NULL,
    model           TEXT,
    provider        TEXT,
    upstream_model  TEXT,
    operation       TEXT    NOT NULL,
    stream          INTEGER NOT NULL,
    status          INTEGER NOT NULL,
    outcome         TEXT    NOT NULL,
    estimated       INTEGER NOT NULL
) STRICT;

-- One row per attempt at an upstream, and per request that ended before one. The key is minted by the gateway, so that a
-- batch written twice is counted once: id = spend_incarnation.id << 44 | sequence. Rows arrive almost in its order.
CREATE TABLE spend_row (
    id                 INTEGER NOT NULL PRIMARY KEY,
    context            INTEGER NOT NULL,
    started_at_us      INTEGER NOT NULL,
    request_id         TEXT    NOT NULL,
    end_user           TEXT,
    prompt_tokens      INTEGER NOT NULL,
    completion_tokens  INTEGER NOT NULL,
    cached_tokens      INTEGER NOT NULL,
    cache_write_tokens INTEGER NOT NULL,
    reasoning_tokens   INTEGER NOT NULL,
    cost_nano          INTEGER,
    first_byte_us      INTEGER,
    latency_us         INTEGER NOT NULL,
    upstream_us        INTEGER,
    tags               TEXT,
    metadata           TEXT
) STRICT;

CREATE INDEX spend_row_started_at ON spend_row (started_at_us);

-- Whole rows, in the gateway's own terms. LEFT JOIN, so that every query starts at the rows: they are found by time.
CREATE VIEW spend AS
SELECT
    (SELECT uuid FROM spend_incarnation WHERE id = spend_row.id >> 44) AS incarnation,
    spend_row.id & ((1 << 44) - 1)     AS sequence,
    started_at_us, request_id, key_id, team, user, end_user, requested_model, model, provider, upstream_model, operation,
    stream, status, outcome, prompt_tokens, completion_tokens, cached_tokens, cache_write_tokens, reasoning_tokens,
    cost_nano, estimated, first_byte_us, latency_us, upstream_us, tags, metadata
FROM spend_row
LEFT JOIN spend_context AS context ON context.id = spend_row.context;

-- For people and their reports. Columns have LiteLLM's names where it has one; cost_usd is NULL where no price is known.
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
    coalesce(metadata, '{}')           AS metadata
FROM spend;

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
    'False'                            AS cache_hit,
    tags                               AS request_tags,
    status,
    request_id                         AS litellm_call_id
FROM litellm_logs;
