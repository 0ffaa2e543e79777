"""Why migrating stopped: the text names the file or step that failed."""

from cli.errors import DossierError


class MigrationError(DossierError):
    pass
