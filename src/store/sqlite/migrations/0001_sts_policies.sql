-- The MTA-STS policies that are remembered. Domains are A-labels, times are Unix seconds.
CREATE TABLE sts_policies (
    domain        TEXT   NOT NULL PRIMARY KEY,
    id            TEXT   NOT NULL, -- of the record that led to the policy
    policy        TEXT   NOT NULL, -- as the web server sent it; mode and expires follow from it
    mode          TEXT   NOT NULL,
    fetched       BIGINT NOT NULL,
    expires       BIGINT NOT NULL,
    used          BIGINT NOT NULL,
    refresh       BIGINT NOT NULL,
    failing_since BIGINT,
    failing_last  BIGINT,
    failing_why   TEXT
);
CREATE INDEX sts_policies_by_refresh ON sts_policies (refresh, domain);
