-- What the parts of a clip take or may take in the store, bytes: quotas add it up.
alter table clips add column bytes bigint not null default 0;
update clips set bytes = (select cast(coalesce(sum(p.length), 0) as bigint)
    from clip_parts p where p.clip_id = clips.clip_id);
create index clips_by_camera_bytes on clips (camera_id, bytes);
create index clips_by_site_bytes on clips (site_id, bytes);

create index audit_by_time on audit (at);

create index token_families_by_account on token_families (account_id);
