-- Since when a browser's push service refuses its messages; null while it takes them.
alter table push_subscriptions add column failing_since bigint;
