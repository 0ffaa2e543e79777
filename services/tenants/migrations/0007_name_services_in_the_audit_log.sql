-- migrate:up
-- Events of other services are known by their ids when they are reported again. `form` is what of an event its hash
-- covers: those from before have neither a service nor an id.
alter table tenants.audit_events
    add column form smallint not null default 1,
    add column service text not null default '',
    add column event_id uuid;
alter table tenants.audit_events alter column form drop default, alter column service drop default;
create unique index audit_events_by_id on tenants.audit_events (tenant_id, event_id) where event_id is not null;

-- migrate:down
-- The hashes of events of the second form do not fit any more.
drop index tenants.audit_events_by_id;
alter table tenants.audit_events drop column form, drop column service, drop column event_id;
