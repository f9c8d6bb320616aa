-- +goose Up
-- One demand to sign in. Only package login writes state; "expired" is computed.
CREATE TABLE requests (
    id           TEXT    NOT NULL PRIMARY KEY,
    authorization_id TEXT NOT NULL,
    service      TEXT    NOT NULL,
    service_name TEXT    NOT NULL,
    professional TEXT    NOT NULL,          -- as typed, as proven, or of the phone that claimed
    lane         TEXT    NOT NULL,
    state        TEXT    NOT NULL,
    asked        BIGINT  NOT NULL,
    expires      BIGINT  NOT NULL,
    extended     BIGINT  NOT NULL,
    cookie       TEXT    NOT NULL,          -- the browser's cookie, bound to this id
    ephemeral    TEXT    NOT NULL,          -- public key made for this request, or empty
    lasting      TEXT    NOT NULL,          -- public lasting key, proven (ring) or offered, or empty
    kind         TEXT    NOT NULL,          -- how the proven browser is kept, or empty
    cookied      TEXT    NOT NULL,
    agent        TEXT    NOT NULL,
    system       TEXT    NOT NULL,
    address      TEXT    NOT NULL,
    place        TEXT    NOT NULL,
    verdict      TEXT    NOT NULL,          -- of the guard
    code_index   BIGINT  NOT NULL,          -- of the current code; -1: this request has none
    code_draw    BIGINT  NOT NULL,
    code_at      BIGINT  NOT NULL,
    claimed_by   TEXT    NOT NULL,
    claimed      BIGINT  NOT NULL,
    way          TEXT    NOT NULL,          -- ring or code: how the phone came to it
    answered     BIGINT  NOT NULL,
    keep         TEXT    NOT NULL,
    changed      BIGINT  NOT NULL
);
CREATE INDEX requests_authorization ON requests (authorization_id);
CREATE INDEX requests_professional ON requests (professional, state, expires);
CREATE INDEX requests_changed ON requests (changed);
CREATE INDEX requests_expires ON requests (expires);
-- Codes that are live, or dead for less than two minutes. hash is an HMAC over
-- professional and code under a key that is not here.
CREATE TABLE codes (
    hash       TEXT   NOT NULL PRIMARY KEY,
    request    TEXT   NOT NULL,
    live_until BIGINT NOT NULL,
    dead_until BIGINT NOT NULL
);
CREATE INDEX codes_request ON codes (request);
CREATE INDEX codes_dead ON codes (dead_until);
-- Wrong codes typed on a phone.
CREATE TABLE wrong_codes (
    id    TEXT   NOT NULL PRIMARY KEY,
    phone TEXT   NOT NULL,
    at    BIGINT NOT NULL
);
CREATE INDEX wrong_codes_phone ON wrong_codes (phone, at);
