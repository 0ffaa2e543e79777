-- migrate:up
-- To compute the words of a ticket costs hundreds of times what PostgreSQL assumes of a function, so where a few
-- thousand were kept it preferred to read them all, in 25 ms instead of 2.
alter function history.find_candidates set enable_seqscan = off;

-- migrate:down
alter function history.find_candidates reset enable_seqscan;
