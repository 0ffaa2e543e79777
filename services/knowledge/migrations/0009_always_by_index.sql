-- migrate:up
-- To compute the words of an article costs hundreds of times what PostgreSQL assumes of a function, so where a few
-- thousand were kept it preferred to read them all.
alter function knowledge.find_candidates set enable_seqscan = off;

-- migrate:down
alter function knowledge.find_candidates reset enable_seqscan;
