-- What quarters of an hour (`ledger_quarter`) that are over for some days came to, by days: of all amounts, not those of
-- calendar windows only. A limit in another window, of another type or in another time zone begins with what was booked since
-- its own window began.
CREATE TABLE ledger_part (
    account bigint NOT NULL,
    -- Where it was booked; -1 = somewhere that counts no more.
    slot    bigint NOT NULL,
    start   bigint NOT NULL,
    ends    bigint NOT NULL,
    amount  bigint NOT NULL,
    PRIMARY KEY (account, slot, start, ends)
) WITH (fillfactor = 70);

CREATE INDEX ledger_part_ends ON ledger_part (ends);

-- Of accounts that are gone: their numbers may come again.
DELETE FROM ledger_quarter WHERE NOT EXISTS (SELECT 1 FROM ledger_account WHERE key = account);

-- Whoever tidies up looks for the old ones, of which there are few.
CREATE INDEX ledger_quarter_quarter ON ledger_quarter (quarter);
