"""Keys, certificates and migrations, once per start: `python -m cli.supervisor.prepare HOME`.

Makes the keys at once, migrates once its standard input is closed, and tells its steps and, if it fails, its
trouble as JSON Lines on standard output.
"""

import json
import os
import sys
from pathlib import Path
from typing import Final

from cli.errors import DossierError
from cli.instance import Instance
from cli.supervisor.environment import DATABASE_VARIABLE

KEYS: Final = "keys"


def tell(**words: str) -> None:
    sys.stdout.write(json.dumps(words) + "\n")
    sys.stdout.flush()


def make_keys(instance: Instance) -> None:
    from cli.supervisor.keys import ensure_keys  # noqa: PLC0415 - the supervisor imports this module

    ensure_keys(instance)
    record = instance.read()
    if record is not None and record.tls:
        from cli.authority import issue_certificates  # noqa: PLC0415 - as above

        issue_certificates(instance)
    tell(step=KEYS)


def migrate_when_told() -> None:
    # Seconds of imports, taken while the database is still starting.
    import asyncio  # noqa: PLC0415

    import dbos  # noqa: F401, PLC0415

    from cli.migrate.roles import PASSWORD_VARIABLE  # noqa: PLC0415
    from cli.migrate.run import migrate  # noqa: PLC0415

    sys.stdin.read()
    asyncio.run(
        migrate(
            os.environ[DATABASE_VARIABLE],
            role_password=os.environ.get(PASSWORD_VARIABLE),
            progress=lambda step: tell(step=f"migrating: {step}"),
        )
    )


def main(instance: Instance) -> int:
    try:
        make_keys(instance)
        migrate_when_told()
    except DossierError as trouble:
        tell(message=str(trouble), hint=trouble.hint)
        return trouble.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main(Instance(Path(sys.argv[1]))))
