-- Answers of /v1/responses that clients may go on from, where gateways keep them. Nobody but their key finds them.
-- `bytes` is the size of the whole conversation up to here: the input and answers of all turns before it too.
CREATE TABLE stored_response (
    key_id      text   NOT NULL,
    id          text   NOT NULL,
    previous_id text,
    input       text   NOT NULL,
    response    text   NOT NULL,
    bytes       bigint NOT NULL,
    created_at  bigint NOT NULL,
    PRIMARY KEY (key_id, id)
);

CREATE INDEX stored_response_age ON stored_response (created_at);
