-- migrate:up
-- A client's rows go with it, and with their age. The policies confine it to the client whose transaction it is.
grant delete on synthesis.calls, synthesis.prompts, synthesis.surplus_calls to dossier_synthesis;

-- migrate:down
revoke delete on synthesis.calls, synthesis.prompts, synthesis.surplus_calls from dossier_synthesis;
