-- The MX hosts that have had TLS. Hosts are A-labels, times are Unix seconds.
CREATE TABLE mx_hosts (
    host       TEXT   NOT NULL PRIMARY KEY,
    best       TEXT   NOT NULL, -- what it has shown: plaintext (accepted), tls, pkix, dane
    lost       TEXT,            -- what is missing: authentication, starttls
    lost_since BIGINT,
    first      BIGINT NOT NULL,
    seen       BIGINT NOT NULL
);
CREATE INDEX mx_hosts_by_seen ON mx_hosts (seen);
