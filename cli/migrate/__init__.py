"""`dossier migrate`: the database, roles and schemas, the workflow engine's tables, each service's own."""
