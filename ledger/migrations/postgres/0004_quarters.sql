-- What rows told of an account of a calendar window, by the quarter of an hour in which their requests ended: as far from the
-- ends of the window as time zones are apart. Another time zone of the limit begins with what was booked since its own window
-- began.
CREATE TABLE ledger_quarter (
    account bigint NOT NULL,
    slot    bigint NOT NULL,
    quarter bigint NOT NULL,
    amount  bigint NOT NULL,
    PRIMARY KEY (account, slot, quarter)
) WITH (fillfactor = 70);
