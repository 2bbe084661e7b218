-- Resources that were made over the admin API, each as its manifest would say it.
CREATE TABLE api_object (
    kind      TEXT NOT NULL,
    namespace TEXT NOT NULL,
    name      TEXT NOT NULL,
    object    TEXT NOT NULL,
    PRIMARY KEY (kind, namespace, name)
) STRICT, WITHOUT ROWID;

-- What one key, team or user used, whatever the day.
CREATE INDEX spend_daily_name ON spend_daily (kind, name, day);
