-- Beside the bank's tables. Each transaction of the load leaves a row here, which says what else it did: whether all of it is everywhere can be
-- told from any node.
CREATE TABLE ledger (
    id      uuid PRIMARY KEY,
    node    text NOT NULL,
    kind    text NOT NULL,
    key     text NOT NULL,
    content text,
    amount  bigint NOT NULL DEFAULT 0
);

-- A unique key beside the primary one: two nodes take one handle.
CREATE TABLE handles (
    id     uuid PRIMARY KEY,
    handle integer NOT NULL UNIQUE
);

-- Many rows at once.
CREATE TABLE bulk (
    id     uuid NOT NULL,
    number integer NOT NULL,
    filler text NOT NULL,
    PRIMARY KEY (id, number)
);

-- Edited without its large value, which the log then does not hold.
CREATE TABLE pages (
    id   integer PRIMARY KEY,
    edit text NOT NULL,
    body text NOT NULL
);
ALTER TABLE pages ALTER body SET STORAGE EXTERNAL;
