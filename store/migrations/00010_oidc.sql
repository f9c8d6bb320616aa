-- +goose Up
CREATE TABLE services (
    id                  TEXT PRIMARY KEY,
    name                TEXT NOT NULL,
    look                TEXT NOT NULL UNIQUE, -- what is left of the name once all that looks alike is the same
    secret              TEXT NOT NULL,        -- SHA-256 of the client secret
    redirect_uris       TEXT NOT NULL,        -- one a line
    logout_uris         TEXT NOT NULL,        -- one a line
    frontchannel_logout TEXT NOT NULL,
    backchannel_logout  TEXT NOT NULL,
    auth_method         TEXT NOT NULL,
    jwks                TEXT NOT NULL,
    alg                 TEXT NOT NULL,
    no_pkce             BIGINT NOT NULL,
    support             TEXT NOT NULL,
    security            TEXT NOT NULL,
    logo                BYTEA NOT NULL,
    created             BIGINT NOT NULL,
    disabled            BIGINT NOT NULL
);

CREATE TABLE oidc_authorizations (
    id            TEXT PRIMARY KEY,
    service       TEXT NOT NULL,
    pushed        TEXT UNIQUE,     -- SHA-256 of the handle of a pushed request
    cookie        TEXT NOT NULL,   -- the browser's cookie, bound to id; '' while a pushed request waits for its browser
    redirect_uri  TEXT NOT NULL,
    response_mode TEXT NOT NULL,
    scope         TEXT NOT NULL,
    state         TEXT NOT NULL,
    nonce         TEXT NOT NULL,
    challenge     TEXT NOT NULL,
    prompt        TEXT NOT NULL,
    max_age       BIGINT NOT NULL, -- seconds, -1 for none
    login_hint    TEXT NOT NULL,
    professional  TEXT NOT NULL,   -- named by an id_token_hint
    locales       TEXT NOT NULL,
    created       BIGINT NOT NULL,
    expires       BIGINT NOT NULL
);
CREATE INDEX oidc_authorizations_expires ON oidc_authorizations (expires);

CREATE TABLE oidc_grants (
    id               TEXT PRIMARY KEY,
    authorization_id TEXT NOT NULL UNIQUE,
    service          TEXT NOT NULL,
    session          TEXT NOT NULL,
    scope            TEXT NOT NULL,
    redirect_uri     TEXT NOT NULL,
    nonce            TEXT NOT NULL,
    challenge        TEXT NOT NULL,
    auth_time        BIGINT NOT NULL,
    created          BIGINT NOT NULL,
    code             TEXT NOT NULL UNIQUE, -- SHA-256 of the code
    code_expires     BIGINT NOT NULL,
    taken            BIGINT NOT NULL,      -- when the code was redeemed
    generation       BIGINT NOT NULL,      -- of the refresh token that is good now; 0 before there is one
    rotated          BIGINT NOT NULL,      -- when that generation began
    ended            BIGINT NOT NULL
);
CREATE INDEX oidc_grants_created ON oidc_grants (created);

CREATE TABLE oidc_assertions (
    id      TEXT PRIMARY KEY, -- SHA-256 of client_id and jti
    expires BIGINT NOT NULL
);
CREATE INDEX oidc_assertions_expires ON oidc_assertions (expires);
