-- migrate:up
-- To compute the words of an article costs hundreds of times what is assumed of a function: where few were kept, all
-- of them were read.
alter function knowledge.find_candidates set enable_seqscan = off;

-- migrate:down
alter function knowledge.find_candidates reset enable_seqscan;
