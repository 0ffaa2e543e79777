"""The `dossier` command: runs an instance, migrates its database, talks to it."""
