-- SHA-256 of the relay's authority that a camera says to pin; null until it has said so.
alter table cameras add column authority_sha256 text;
