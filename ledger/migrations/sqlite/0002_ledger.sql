-- One limit's pot. Its key stands for its long id everywhere else.
CREATE TABLE ledger_account (
    key     INTEGER NOT NULL PRIMARY KEY,
    id      TEXT    NOT NULL UNIQUE,
    -- Latest slot that was reached: time never goes back behind it. The first that counted then. When nothing that was
    -- booked by then counts any more; 0 = not known.
    seen    INTEGER NOT NULL DEFAULT 0,
    counted INTEGER NOT NULL DEFAULT 0,
    until   INTEGER NOT NULL DEFAULT 0
) STRICT;

-- What was booked of an account in a stretch of time. Times are microseconds since the epoch.
CREATE TABLE ledger_spent (
    account INTEGER NOT NULL,
    slot    INTEGER NOT NULL,
    amount  INTEGER NOT NULL,
    PRIMARY KEY (account, slot)
) STRICT, WITHOUT ROWID;

-- What one run of a gateway may use of an account.
CREATE TABLE ledger_lease (
    holder       BLOB    NOT NULL,
    number       INTEGER NOT NULL,
    account      INTEGER NOT NULL,
    kind         INTEGER NOT NULL, -- 0: booked by rows, 1: by exchanges (rates), 2: never (parallel requests)
    slot         INTEGER NOT NULL,
    width        INTEGER NOT NULL,
    granted      INTEGER NOT NULL,
    booked       INTEGER NOT NULL,
    sequence     INTEGER NOT NULL,
    unattributed INTEGER NOT NULL,
    lost_slot    INTEGER NOT NULL,
    finished     INTEGER NOT NULL,
    closed       INTEGER NOT NULL,
    changed      INTEGER NOT NULL,
    PRIMARY KEY (holder, number)
) STRICT, WITHOUT ROWID;

CREATE INDEX ledger_lease_open ON ledger_lease (account, slot) WHERE NOT closed;
CREATE INDEX ledger_lease_lost ON ledger_lease (changed) WHERE unattributed > 0;

-- Runs of gateways that hold leases: when each was last heard of, how long its requests may take, and whether all that it
-- did is known, so that it gets nothing any more.
CREATE TABLE ledger_holder (
    holder  BLOB    NOT NULL PRIMARY KEY,
    heard   INTEGER NOT NULL,
    longest INTEGER NOT NULL,
    ended   INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;

-- Sums per day (days since the epoch, UTC) for dashboards. `kind` is key, team, user, end_user or tag.
CREATE TABLE spend_daily (
    day               INTEGER NOT NULL,
    kind              TEXT    NOT NULL,
    name              TEXT    NOT NULL,
    model             TEXT    NOT NULL,
    requests          INTEGER NOT NULL,
    failures          INTEGER NOT NULL,
    prompt_tokens     INTEGER NOT NULL,
    completion_tokens INTEGER NOT NULL,
    cached_tokens     INTEGER NOT NULL,
    cost_nano         INTEGER NOT NULL,
    PRIMARY KEY (day, kind, name, model)
) STRICT, WITHOUT ROWID;

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
    cost_nano, estimated, first_byte_us, latency_us, upstream_us, tags, metadata
FROM spend_row
LEFT JOIN spend_context AS context ON context.id = spend_row.context
UNION ALL
SELECT
    holder, number | (1 << 43),
    changed, 'unattributed', '', NULL, NULL, NULL, '', NULL, NULL, NULL, 'unattributed',
    0, 0, 'unattributed', 0, 0, 0, 0, 0,
    NULL, 1, NULL, 0, NULL, NULL,
    json_object('account', (SELECT id FROM ledger_account WHERE key = account), 'unattributed', unattributed)
FROM ledger_lease
WHERE unattributed > 0;

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
