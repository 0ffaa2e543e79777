-- migrate:up
-- To compute the words of a ticket costs hundreds of times what is assumed of a function: where few thousands were
-- kept, all of them were read, in 25 ms instead of 2.
alter function history.find_candidates set enable_seqscan = off;

-- migrate:down
alter function history.find_candidates reset enable_seqscan;
