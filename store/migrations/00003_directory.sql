-- +goose Up
-- The generation in force: the import that readers see. One row; 0 before the first import.
CREATE TABLE directory (
    one        BIGINT NOT NULL PRIMARY KEY CHECK (one = 1),
    generation BIGINT NOT NULL
);
INSERT INTO directory (one, generation) VALUES (1, 0);
-- Imports that were begun. switched is 0 unless it took effect.
CREATE TABLE directory_imports (
    generation     BIGINT NOT NULL PRIMARY KEY,
    started        BIGINT NOT NULL,
    switched       BIGINT NOT NULL,
    people         BIGINT NOT NULL,
    added          BIGINT NOT NULL,
    changed        BIGINT NOT NULL,
    removed        BIGINT NOT NULL,
    contact_points BIGINT NOT NULL  -- how many it brought that were not there
);
-- Who is importing. beat grows as long as it lives; holder is empty when nobody is.
CREATE TABLE directory_lease (
    one    BIGINT NOT NULL PRIMARY KEY CHECK (one = 1),
    holder TEXT   NOT NULL,
    beat   BIGINT NOT NULL,
    since  BIGINT NOT NULL
);
INSERT INTO directory_lease (one, holder, beat, since) VALUES (1, '', 0, 0);
-- A person as one or more imports had them: in force from generation until ended, which is
-- the generation that replaced or removed the row, or 0.
CREATE TABLE professionals (
    id              TEXT   NOT NULL,
    generation      BIGINT NOT NULL,
    ended           BIGINT NOT NULL,
    civility        TEXT   NOT NULL,
    family_name     TEXT   NOT NULL,
    given_names     TEXT   NOT NULL,
    exercices       TEXT   NOT NULL,  -- a line per exercice and activity, values divided by |
    digest          BIGINT NOT NULL,  -- of all that, to see what a file changes
    contacts_digest BIGINT NOT NULL,  -- of the contact points as the register last gave them
    PRIMARY KEY (id, generation)
);
-- A person's own mobile number and e-mail address, in the same generations.
CREATE TABLE contacts (
    professional TEXT   NOT NULL,
    channel      TEXT   NOT NULL,  -- mobile, email
    generation   BIGINT NOT NULL,
    ended        BIGINT NOT NULL,
    value        TEXT   NOT NULL,
    source       TEXT   NOT NULL,  -- register
    since        BIGINT NOT NULL,  -- first seen
    usable       BIGINT NOT NULL,  -- the end of its waiting period
    replaced     BIGINT NOT NULL,  -- when it was ended, 0 while it stands
    PRIMARY KEY (professional, channel, generation, since)
);
CREATE INDEX contacts_replaced ON contacts (replaced) WHERE replaced > 0;
