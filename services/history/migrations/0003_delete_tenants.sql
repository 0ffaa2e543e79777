-- migrate:up
-- What a ticket without any date of its own grows old by.
alter table history.tickets add column record_time timestamptz not null default now();

-- migrate:down
alter table history.tickets drop column record_time;
