-- +goose Up
CREATE TABLE sessions (
    id            TEXT PRIMARY KEY,
    secret        TEXT NOT NULL UNIQUE, -- SHA-256 of the cookie's secret
    professional  TEXT NOT NULL,
    kind          TEXT NOT NULL,
    means         TEXT NOT NULL,
    opened        BIGINT NOT NULL,
    auth_time     BIGINT NOT NULL,      -- the latest approval
    seen          BIGINT NOT NULL,      -- the browser was last at the portal
    used          BIGINT NOT NULL,      -- the browser or a service last used it
    provisional   BIGINT NOT NULL,      -- until then it serves first_service only
    first_service TEXT NOT NULL,        -- the service that the latest approval was for
    browser       TEXT NOT NULL,
    request       TEXT NOT NULL,
    phone         TEXT NOT NULL,
    agent         TEXT NOT NULL,
    address       TEXT NOT NULL,
    ended         BIGINT NOT NULL,
    ended_why     TEXT NOT NULL
);
CREATE INDEX sessions_professional ON sessions (professional, opened);
CREATE INDEX sessions_opened ON sessions (opened);

CREATE TABLE sessions_services (
    session TEXT NOT NULL,
    service TEXT NOT NULL,
    joined  BIGINT NOT NULL,
    PRIMARY KEY (session, service)
);
