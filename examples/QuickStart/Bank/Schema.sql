-- The bank's tables: nothing in them is there for replication. Keys are given by the application, so that nodes never invent the same.

-- Balances add up: every transfer counts, on whichever node it was made.
CREATE TABLE accounts (
    id      integer PRIMARY KEY,
    owner   text NOT NULL,
    balance bigint NOT NULL
);

-- Two edits at once: the last update wins, the other one stands in the conflict history.
CREATE TABLE profiles (
    id   integer PRIMARY KEY,
    city text NOT NULL,
    edit text NOT NULL
);

-- Tags added at once on two nodes are united by a resolver of the application.
CREATE TABLE documents (
    id    integer PRIMARY KEY,
    title text NOT NULL,
    tags  text[] NOT NULL
);

-- Written, edited and deleted, also by nodes that did not write them.
CREATE TABLE messages (
    id   uuid PRIMARY KEY,
    body text NOT NULL,
    edit text NOT NULL
);

-- What each node wrote last: once it has arrived everywhere, so has all that the node wrote before.
CREATE TABLE last_words (
    node  text PRIMARY KEY,
    round integer NOT NULL
);
