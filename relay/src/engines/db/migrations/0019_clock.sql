-- What the relay's clock said last, to be told from one that leapt while the relay was off.
create table clock (
    one bigint primary key check (one = 1),
    seen_at bigint not null
);
