-- Answers of /v1/responses that clients may go on from, where the gateway keeps them. Nobody but their key finds them.
-- `bytes` is the size of the whole conversation up to here: the input and answers of all turns before it too.
CREATE TABLE stored_response (
    key_id      TEXT NOT NULL,
    id          TEXT NOT NULL,
    previous_id TEXT,
    input       TEXT NOT NULL,
    response    TEXT NOT NULL,
    bytes       INTEGER NOT NULL,
    created_at  INTEGER NOT NULL,
    PRIMARY KEY (key_id, id)
);

CREATE INDEX stored_response_age ON stored_response (created_at);
