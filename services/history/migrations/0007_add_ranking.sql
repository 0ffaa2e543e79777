-- migrate:up
alter table history.tickets
    add column site text not null default '',
    add column organisation text not null default '';

-- What people think of tickets that briefs cited, each with the question that the brief answered. A word that was
-- taken back stays, without a verdict: an older one that comes late must not count again.
create table history.ticket_ratings (
    tenant_id text not null default current_setting('dossier.tenant'),
    source text collate "C" not null,
    ticket_id text collate "C" not null,
    rating_id text collate "C" not null,
    revision bigint not null,
    helpful boolean,
    -- Of the question, as those of a ticket that says the same.
    version smallint not null,
    weights public.sparsevec not null,
    primary key (tenant_id, source, ticket_id, rating_id),
    foreign key (tenant_id, source, ticket_id) references history.tickets on delete cascade
);
alter table history.ticket_ratings enable row level security;
alter table history.ticket_ratings force row level security;
create policy ticket_ratings_of_tenant on history.ticket_ratings to dossier_history
    using (tenant_id = current_setting('dossier.tenant', true))
    with check (tenant_id = current_setting('dossier.tenant', true));
grant select, insert, update, delete on history.ticket_ratings to dossier_history;

-- migrate:down
drop table history.ticket_ratings;
alter table history.tickets drop column site, drop column organisation;
