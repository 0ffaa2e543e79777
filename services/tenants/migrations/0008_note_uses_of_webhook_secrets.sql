-- migrate:up
-- Which of two secrets a tool uses, while it is given the newer one.
alter table tenants.secrets add column last_used_time timestamptz;

-- migrate:down
alter table tenants.secrets drop column last_used_time;
