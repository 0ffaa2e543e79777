"""Why an embedded server could not be had."""

from cli.errors import DossierError


class EmbeddedServerError(DossierError):
    pass
