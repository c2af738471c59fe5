-- 1 where members without a second factor are told to set one up first.
alter table sites add column requires_second_factor bigint not null default 0;

-- Members, and whether they lack the second factor that their site requires.
create view memberships as
    select m.*,
        case when s.requires_second_factor = 1
            and not exists (select 1 from second_factors f where f.account_id = m.account_id)
            then 1 else 0 end as lacks_factor
    from members m join sites s on s.site_id = m.site_id;
