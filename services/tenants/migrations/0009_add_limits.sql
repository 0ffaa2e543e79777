-- migrate:up
-- By the contract's names of them; what is absent is as the gateways are set.
alter table tenants.tenants add column limits jsonb not null default '{}';

-- migrate:down
alter table tenants.tenants drop column limits;
