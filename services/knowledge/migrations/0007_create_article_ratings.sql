-- migrate:up
-- What people think of articles that briefs cited, each with the question that the brief answered. A word that was
-- taken back stays, without a verdict: an older one that comes late must not count again.
create table knowledge.article_ratings (
    tenant_id text not null default current_setting('dossier.tenant'),
    source text collate "C" not null,
    article_id text collate "C" not null,
    rating_id text collate "C" not null,
    revision bigint not null,
    helpful boolean,
    -- Of the question, as those of an article that says the same.
    version smallint not null,
    weights public.sparsevec not null,
    primary key (tenant_id, source, article_id, rating_id),
    foreign key (tenant_id, source, article_id) references knowledge.articles on delete cascade
);
alter table knowledge.article_ratings enable row level security;
alter table knowledge.article_ratings force row level security;
create policy article_ratings_of_tenant on knowledge.article_ratings to dossier_knowledge
    using (tenant_id = current_setting('dossier.tenant', true))
    with check (tenant_id = current_setting('dossier.tenant', true));
grant select, insert, update, delete on knowledge.article_ratings to dossier_knowledge;

-- migrate:down
drop table knowledge.article_ratings;
