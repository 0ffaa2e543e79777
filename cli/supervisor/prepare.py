"""Keys and migrations, once per start: `python -m cli.supervisor.prepare HOME`.

Tells its steps and, if it fails, its trouble as JSON Lines on standard output.
"""

import asyncio
import json
import os
import sys
from pathlib import Path

from cli.errors import DossierError
from cli.instance import Instance
from cli.migrate.roles import PASSWORD_VARIABLE
from cli.migrate.run import migrate
from cli.supervisor.environment import DATABASE_VARIABLE
from cli.supervisor.keys import ensure_keys


def tell(**words: str) -> None:
    sys.stdout.write(json.dumps(words) + "\n")
    sys.stdout.flush()


def main(instance: Instance) -> int:
    try:
        ensure_keys(instance)
        asyncio.run(
            migrate(
                os.environ[DATABASE_VARIABLE],
                role_password=os.environ.get(PASSWORD_VARIABLE),
                progress=lambda step: tell(step=f"migrating: {step}"),
            )
        )
    except DossierError as trouble:
        tell(message=str(trouble), hint=trouble.hint)
        return trouble.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main(Instance(Path(sys.argv[1]))))
