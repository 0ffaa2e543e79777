-- migrate:up
-- By the contract's names, in millionths of a US dollar; what is absent is no limit.
alter table tenants.tenants add column budget jsonb not null default '{}';

-- migrate:down
alter table tenants.tenants drop column budget;
