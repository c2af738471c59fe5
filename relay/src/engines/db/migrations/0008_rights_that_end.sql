-- What opened a live session, and a ticket: the hash of a browser session's token, or a family of
-- tokens. It ends with them. Rows from before have none.
alter table live_sessions add column sign_in text;
alter table socket_tickets add column sign_in text;

-- Who opened a pairing: it is good for as long as this account may pair.
alter table pairings add column created_by text;

-- A camera's odd numbers were once stored as null, which nothing can read.
update events set boxes = '[]' where boxes like '%null%';
