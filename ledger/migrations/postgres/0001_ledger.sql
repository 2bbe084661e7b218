-- Migrations only add: a gateway of the version before goes on working beside this schema, so that pods can be replaced one
-- by one and back. Times are microseconds since the epoch, amounts of money nano-USD.

-- One limit's pot. Its key stands for its long id everywhere else.
CREATE TABLE ledger_account (
    key     bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id      text   NOT NULL UNIQUE,
    -- Latest slot that was reached: time never goes back behind it. The first that counted then. When nothing that was
    -- booked by then counts any more; 0 = not known.
    seen    bigint NOT NULL DEFAULT 0,
    counted bigint NOT NULL DEFAULT 0,
    until   bigint NOT NULL DEFAULT 0
) WITH (fillfactor = 70);

-- Finds all pots of a limit, whose ids begin alike, whatever the database's collation.
CREATE INDEX ledger_account_begins ON ledger_account (id text_pattern_ops);

-- What was booked of an account in a stretch of time.
CREATE TABLE ledger_spent (
    account bigint NOT NULL,
    slot    bigint NOT NULL,
    amount  bigint NOT NULL,
    PRIMARY KEY (account, slot)
) WITH (fillfactor = 50);

-- What one run of a gateway may use of an account.
CREATE TABLE ledger_lease (
    holder       uuid     NOT NULL,
    number       bigint   NOT NULL,
    account      bigint   NOT NULL,
    kind         smallint NOT NULL, -- 0: booked by rows, 1: by exchanges (rates), 2: never (parallel requests)
    slot         bigint   NOT NULL,
    width        bigint   NOT NULL,
    granted      bigint   NOT NULL,
    booked       bigint   NOT NULL,
    sequence     bigint   NOT NULL,
    unattributed bigint   NOT NULL,
    lost_slot    bigint   NOT NULL,
    finished     boolean  NOT NULL,
    closed       boolean  NOT NULL,
    changed      bigint   NOT NULL,
    PRIMARY KEY (holder, number)
) WITH (fillfactor = 50);

CREATE INDEX ledger_lease_open ON ledger_lease (account, slot) WHERE NOT closed;
CREATE INDEX ledger_lease_lost ON ledger_lease (holder) WHERE unattributed > 0;

-- Runs of gateways that hold leases: when each was last heard of, how long its requests may take, and whether all that it
-- did is known, so that it gets nothing any more.
CREATE TABLE ledger_holder (
    holder  uuid    NOT NULL PRIMARY KEY,
    heard   bigint  NOT NULL,
    longest bigint  NOT NULL,
    ended   boolean NOT NULL DEFAULT false
);

-- Which server this is, and since when: another after a failover or a restore. One row.
CREATE TABLE ledger_epoch (
    one      boolean NOT NULL PRIMARY KEY DEFAULT true CHECK (one),
    identity text    NOT NULL,
    epoch    bigint  NOT NULL,
    changed  bigint  NOT NULL
);
INSERT INTO ledger_epoch (identity, epoch, changed) VALUES ('', 0, 0);

-- One row per attempt at an upstream, and per request that ended before one. The key is minted by the gateway, so that a
-- batch written twice is counted once. `day` is the UTC day of the request's arrival.
CREATE TABLE spend_row (
    day                date     NOT NULL,
    incarnation        uuid     NOT NULL,
    sequence           bigint   NOT NULL,
    started_at_us      bigint   NOT NULL,
    request_id         text     NOT NULL,
    key_id             text     NOT NULL,
    team               text,
    "user"             text,
    end_user           text,
    requested_model    text     NOT NULL,
    model              text,
    provider           text,
    upstream_model     text,
    operation          text     NOT NULL,
    stream             boolean  NOT NULL,
    status             integer  NOT NULL,
    outcome            text     NOT NULL,
    prompt_tokens      bigint   NOT NULL,
    completion_tokens  bigint   NOT NULL,
    cached_tokens      bigint   NOT NULL,
    cache_write_tokens bigint   NOT NULL,
    reasoning_tokens   bigint   NOT NULL,
    cost_nano          bigint,
    estimated          boolean  NOT NULL,
    first_byte_us      bigint,
    latency_us         bigint   NOT NULL,
    upstream_us        bigint,
    tags               json,
    metadata           json,
    PRIMARY KEY (day, incarnation, sequence)
) PARTITION BY RANGE (day);

-- Rows of days that have no partition of their own: very late ones.
CREATE TABLE spend_row_default PARTITION OF spend_row DEFAULT;

-- Rows arrive in the order of time, nearly: a few pages of index do.
CREATE INDEX spend_row_started_at ON spend_row USING brin (started_at_us) WITH (pages_per_range = 16);

-- Sums per day for dashboards. `kind` is key, team, user, end_user or tag; `model` is empty where none was chosen.
CREATE TABLE spend_daily (
    day               date   NOT NULL,
    kind              text   NOT NULL,
    name              text   NOT NULL,
    model             text   NOT NULL,
    requests          bigint NOT NULL,
    failures          bigint NOT NULL,
    prompt_tokens     bigint NOT NULL,
    completion_tokens bigint NOT NULL,
    cached_tokens     bigint NOT NULL,
    cost_nano         bigint NOT NULL,
    PRIMARY KEY (day, kind, name, model)
) WITH (fillfactor = 70);

-- Whole rows, in the gateway's own terms. Rows with outcome `unattributed` are amounts that a lost gateway may have used;
-- the metadata names the account. Their cost is unknown (NULL), as one request may be in several of them.
CREATE VIEW spend AS
SELECT
    day, incarnation, sequence, started_at_us, request_id, key_id, team, "user", end_user, requested_model, model, provider,
    upstream_model, operation, stream, status, outcome, prompt_tokens, completion_tokens, cached_tokens, cache_write_tokens,
    reasoning_tokens, cost_nano, estimated, first_byte_us, latency_us, upstream_us, tags, metadata
FROM spend_row
UNION ALL
SELECT
    (to_timestamp(changed / 1e6) AT TIME ZONE 'UTC')::date, holder, number | (1::bigint << 43), changed, 'unattributed', '',
    NULL, NULL, NULL, '', NULL, NULL,
    NULL, 'unattributed', false, 0, 'unattributed', 0, 0, 0, 0,
    0, NULL, true, NULL, 0, NULL, NULL,
    json_build_object('account', (SELECT id FROM ledger_account WHERE key = account), 'unattributed', unattributed)
FROM ledger_lease
WHERE unattributed > 0;

-- For people and their reports. Columns have LiteLLM's names where it has one; cost_usd is NULL where no price is known.
-- The day is there for speed: a condition on it reads only that day's rows.
CREATE VIEW litellm_logs AS
SELECT
    day,
    request_id,
    to_timestamp(started_at_us / 1e6)                AS start_time,
    to_timestamp((started_at_us + latency_us) / 1e6) AS end_time,
    operation                          AS call_type,
    key_id                             AS api_key,
    key_id,
    team,
    "user",
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
    (cost_nano / 1e9)::double precision AS cost_usd,
    (cost_nano / 1e9)::double precision AS spend,
    estimated,
    stream,
    status                             AS status_code,
    outcome,
    CASE outcome WHEN 'success' THEN 'success' ELSE 'failure' END AS status,
    (first_byte_us / 1e3)::double precision AS time_to_first_token_ms,
    (latency_us / 1e3)::double precision    AS latency_ms,
    (upstream_us / 1e3)::double precision   AS upstream_latency_ms,
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
    start_time AT TIME ZONE 'UTC'      AS "startTime",
    end_time AT TIME ZONE 'UTC'        AS "endTime",
    latency_ms::integer                AS request_duration_ms,
    model,
    coalesce(model_id, '')             AS model_id,
    model_group,
    coalesce(provider, '')             AS custom_llm_provider,
    coalesce("user", '')               AS "user",
    team                               AS team_id,
    end_user,
    metadata,
    'False'                            AS cache_hit,
    tags::jsonb                        AS request_tags,
    status,
    request_id                         AS litellm_call_id
FROM litellm_logs;
