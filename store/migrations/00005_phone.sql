-- +goose Up
-- An activated phone. Its state is computed from the times; 0 is never.
CREATE TABLE phones (
    id           TEXT    NOT NULL PRIMARY KEY,  -- RFC 7638 thumbprint of its key
    professional TEXT    NOT NULL,
    jwk          TEXT    NOT NULL,              -- its public key
    pin          BYTEA   NOT NULL,              -- the PIN's public key (Ed25519)
    epoch        TEXT    NOT NULL,              -- of the PIN
    master       BIGINT  NOT NULL,              -- version of the master secret under which the PIN was chosen
    moves_by     BIGINT  NOT NULL,              -- the end, unless the PIN moves to a newer version before
    name         TEXT    NOT NULL,
    model        TEXT    NOT NULL,
    system       TEXT    NOT NULL,
    app          TEXT    NOT NULL,
    mode         TEXT    NOT NULL,
    created      BIGINT  NOT NULL,
    ends         BIGINT  NOT NULL,
    last_use     BIGINT  NOT NULL,
    endpoint     TEXT    NOT NULL,              -- push subscription; empty: none
    p256dh       BYTEA   NOT NULL,
    auth         BYTEA   NOT NULL,
    silent       BOOLEAN NOT NULL,
    misses       BIGINT  NOT NULL,              -- evaluations since the last right PIN
    missed       BIGINT  NOT NULL,              -- when the last of them was made
    slept        BIGINT  NOT NULL,              -- by itself
    departed     BIGINT  NOT NULL,              -- its professional left the register
    disabled     BIGINT  NOT NULL,
    disabled_why TEXT    NOT NULL,
    removed      BIGINT  NOT NULL
);
CREATE INDEX phones_professional ON phones (professional);
CREATE INDEX phones_endpoint ON phones (endpoint);
CREATE INDEX phones_behind ON phones (master) WHERE moves_by = 0; -- to follow a newer master secret
CREATE INDEX phones_due ON phones (id) WHERE misses >= 8 AND disabled = 0 AND removed = 0; -- to be disabled
-- One use of a phone's OPRF key on a PIN that may be wrong. Neither what was
-- asked nor what was answered is here: only that it happened.
CREATE TABLE evaluations (
    id       TEXT   NOT NULL PRIMARY KEY,
    phone    TEXT   NOT NULL,
    purpose  TEXT   NOT NULL,                   -- the request, or "change:" and the decision
    call     TEXT   NOT NULL UNIQUE,            -- hash of the call that asked
    epoch    TEXT   NOT NULL,
    master   BIGINT NOT NULL,
    next     BIGINT NOT NULL,                   -- newer version offered beside; 0: none
    at       BIGINT NOT NULL,
    document TEXT   NOT NULL,                   -- hash of the one document that named it; empty: none yet
    taken    BIGINT NOT NULL                    -- when that document took it back; 0: it is a miss
);
CREATE INDEX evaluations_phone ON evaluations (phone, at);
CREATE INDEX evaluations_at ON evaluations (at);
-- An epoch drawn for a PIN to come. It is evaluated once and lives until its document arrives.
CREATE TABLE epochs (
    epoch      TEXT   NOT NULL PRIMARY KEY,
    phone      TEXT   NOT NULL,
    purpose    TEXT   NOT NULL,                 -- "ticket:" and its id, or "change-pin"
    master     BIGINT NOT NULL,
    drawn      BIGINT NOT NULL,
    evaluation TEXT   NOT NULL,                 -- empty: not evaluated yet
    call       TEXT   NOT NULL,
    UNIQUE (phone, purpose)
);
CREATE INDEX epochs_drawn ON epochs (drawn);
-- Calls that changed something, until a repeat can no longer pass.
CREATE TABLE phone_calls (
    hash   TEXT   NOT NULL PRIMARY KEY,
    dies   BIGINT NOT NULL,
    answer BYTEA  NOT NULL
);
CREATE INDEX phone_calls_dies ON phone_calls (dies);
-- Who asked for two codes, as typed. A job decides, off the answer's path.
CREATE TABLE asks (
    id          TEXT   NOT NULL PRIMARY KEY,
    national_id TEXT   NOT NULL,
    mobile      TEXT   NOT NULL,
    email       TEXT   NOT NULL,
    button      BOOLEAN NOT NULL,               -- pressed on the page of an earlier message: nothing was typed
    source      TEXT   NOT NULL,
    address     TEXT   NOT NULL,
    agent       TEXT   NOT NULL,
    asked       BIGINT NOT NULL,
    decided     BIGINT NOT NULL,
    outcome     TEXT   NOT NULL
);
CREATE INDEX asks_decided ON asks (decided, asked);
CREATE INDEX asks_source ON asks (source, asked);
-- Two codes that were sent. hash is an HMAC over professional and both codes
-- under a key that is not here.
CREATE TABLE pairs (
    id           TEXT   NOT NULL PRIMARY KEY,
    professional TEXT   NOT NULL,
    hash         TEXT   NOT NULL,
    button       BOOLEAN NOT NULL,
    sent         BIGINT NOT NULL,
    expires      BIGINT NOT NULL,
    used         BIGINT NOT NULL,
    token        TEXT   NOT NULL UNIQUE,        -- hash of what opens the page with two buttons
    pressed      BIGINT NOT NULL                -- "send the next pair now"
);
CREATE INDEX pairs_professional ON pairs (professional, sent);
CREATE TABLE no_asks (
    professional TEXT   NOT NULL PRIMARY KEY,
    until        BIGINT NOT NULL
);
-- Codes that were typed, right or wrong.
CREATE TABLE tries (
    id          TEXT   NOT NULL PRIMARY KEY,
    device      TEXT   NOT NULL,
    national_id TEXT   NOT NULL,
    source      TEXT   NOT NULL,
    at          BIGINT NOT NULL
);
CREATE INDEX tries_device ON tries (device, national_id, at);
CREATE INDEX tries_source ON tries (source, at);
CREATE INDEX tries_at ON tries (at);
-- The right to activate one phone. It opens nothing without that phone's key.
CREATE TABLE tickets (
    id           TEXT   NOT NULL PRIMARY KEY,
    professional TEXT   NOT NULL,
    phone        TEXT   NOT NULL,
    mode         TEXT   NOT NULL,
    pair         TEXT   NOT NULL,
    opened       BIGINT NOT NULL,
    expires      BIGINT NOT NULL,
    redeemed     BIGINT NOT NULL
);
CREATE INDEX tickets_professional ON tickets (professional, opened);
-- The support line's word that two codes may leave although a rule forbids it.
CREATE TABLE allowances (
    id           TEXT   NOT NULL PRIMARY KEY,
    professional TEXT   NOT NULL,
    reason       TEXT   NOT NULL,
    first        TEXT   NOT NULL,
    second       TEXT   NOT NULL,
    code         TEXT   NOT NULL UNIQUE,        -- hash
    opened       BIGINT NOT NULL,
    confirmed    BIGINT NOT NULL,
    starts       BIGINT NOT NULL,
    ends         BIGINT NOT NULL,
    used         BIGINT NOT NULL
);
CREATE INDEX allowances_professional ON allowances (professional, ends);
