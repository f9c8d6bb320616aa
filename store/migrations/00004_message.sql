-- +goose Up
-- A letter to one person. It is open while sent and given_up are 0; expired is computed.
CREATE TABLE messages (
    id           TEXT   NOT NULL PRIMARY KEY,
    channel      TEXT   NOT NULL,
    recipient    TEXT   NOT NULL,
    professional TEXT   NOT NULL,
    kind         TEXT   NOT NULL,
    sealed       BYTEA  NOT NULL,  -- subject, text and code, under a key that is not here; empty once sent or given up
    created      BIGINT NOT NULL,
    expires      BIGINT NOT NULL,
    due          BIGINT NOT NULL,  -- when a node may next take it: the wish of its writer, the pause after a failure, the end of a lease
    tries        BIGINT NOT NULL,  -- begun; also tells who holds the lease
    sent         BIGINT NOT NULL,
    given_up     BIGINT NOT NULL,
    failure      TEXT   NOT NULL   -- of the last try
);
CREATE INDEX messages_due ON messages (due) WHERE sent = 0 AND given_up = 0;
CREATE INDEX messages_created ON messages (created);
