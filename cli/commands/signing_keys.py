"""`signing-keys list|rotate|publish|promote`: the keys of the tokens between services."""

import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from cli.instance import Instance
from cli.options import DataDirOption
from cli.output import Json, JsonOption, Output
from cli.signing_keys import OVERLAP_SECONDS, KeyState, SigningKey, SigningKeys

signing_keys = typer.Typer(
    help="The keys that sign the tokens between services.", no_args_is_help=True, rich_markup_mode="rich"
)

KeysDirOption = Annotated[
    Path | None,
    typer.Option(
        "--keys-dir", help="A folder with signing.jwk and jwks.json; else the instance's.", file_okay=False
    ),
]
OverlapOption = Annotated[
    int,
    typer.Option(
        min=0,
        max=7 * 86400,
        help="How long the former key's tokens are still good; those of `dossier token` end then, too."
        " 0 refuses them at once: for a key that leaked.",
    ),
]


@signing_keys.command("list")
def list_keys(
    *, keys_dir: KeysDirOption = None, data_dir: DataDirOption = None, as_json: JsonOption = False
) -> None:
    """Show which keys there are, which one signs, and until when the others are believed."""
    _tell(SigningKeys(_directory(keys_dir, data_dir)), output=Output(as_json=as_json))


@signing_keys.command("rotate")
def rotate(
    *,
    overlap_seconds: OverlapOption = OVERLAP_SECONDS,
    propagation_seconds: Annotated[
        int,
        typer.Option(
            min=0, max=600, help="How long a published key is given to reach every service before it signs."
        ),
    ] = 2,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be done, and do nothing.")
    ] = False,
    keys_dir: KeysDirOption = None,
    data_dir: DataDirOption = None,
    as_json: JsonOption = False,
) -> None:
    """Publish a new key, sign with it, and let the former end. No call is refused meanwhile.

    Interrupted, it goes on from there when it is repeated.

    Example: dossier signing-keys rotate
    """
    output = Output(as_json=as_json)
    keys = SigningKeys(_directory(keys_dir, data_dir))
    if dry_run:
        _tell_plan(keys, overlap_seconds=overlap_seconds, output=output)
        return
    with keys.locked():
        if not _interrupted_at_the_end(keys):
            published = keys.publish(now=time.time())
            output.console.print(f"Published {published.id}.")
            _wait_until((published.published_at or 0) + propagation_seconds)
            keys.sign_with_published(now=time.time())
        keys.retire_former(now=time.time(), overlap_seconds=overlap_seconds)
        _tell(keys, output=output)


@signing_keys.command("publish")
def publish(
    *, keys_dir: KeysDirOption = None, data_dir: DataDirOption = None, as_json: JsonOption = False
) -> None:
    """Make the next key and publish its public half; the present one goes on signing.

    For folders that reach the services late, such as a Secret of Kubernetes: bring jwks.json to all of them,
    then `promote`.

    Example: dossier signing-keys publish --keys-dir keys
    """
    keys = SigningKeys(_directory(keys_dir, data_dir))
    with keys.locked():
        keys.publish(now=time.time())
        _tell(keys, output=Output(as_json=as_json))


@signing_keys.command("promote")
def promote(
    *,
    overlap_seconds: OverlapOption = OVERLAP_SECONDS,
    keys_dir: KeysDirOption = None,
    data_dir: DataDirOption = None,
    as_json: JsonOption = False,
) -> None:
    """Sign with the published key from now on, and let the former end.

    Example: dossier signing-keys promote --keys-dir keys --overlap-seconds 600
    """
    keys = SigningKeys(_directory(keys_dir, data_dir))
    with keys.locked():
        if not _interrupted_at_the_end(keys):
            keys.sign_with_published(now=time.time())
        keys.retire_former(now=time.time(), overlap_seconds=overlap_seconds)
        _tell(keys, output=Output(as_json=as_json))


def _directory(keys_dir: Path | None, data_dir: Path | None) -> Path:
    return keys_dir or Instance.resolve(data_dir).keys


def _interrupted_at_the_end(keys: SigningKeys) -> bool:
    """Tell whether a new key signs already, and only the former's end is missing."""
    return any(each.state is KeyState.FORMER for each in keys.all(now=time.time()))


def _wait_until(moment: float) -> None:
    time.sleep(max(0.0, moment - time.time()))


def _tell_plan(keys: SigningKeys, *, overlap_seconds: int, output: Output) -> None:
    there = {each.state: each.id for each in keys.all(now=time.time())}
    if KeyState.FORMER in there:
        steps = [f"let {there[KeyState.FORMER]} end in {overlap_seconds} s"]
    else:
        following = there.get(KeyState.PUBLISHED)
        steps = [
            *([] if following else ["publish a new key"]),
            f"sign with {following or 'it'}",
            f"let {there[KeyState.SIGNING]} end in {overlap_seconds} s",
        ]
    output.result({"dry_run": True, "steps": list[Json](steps)}, shown="Would " + ", ".join(steps) + ".")


def _tell(keys: SigningKeys, *, output: Output) -> None:
    there = keys.all(now=time.time())
    output.result({"keys": [_key_json(each) for each in there]}, shown=_table(there))


def _key_json(key: SigningKey) -> dict[str, Json]:
    return {
        "id": key.id,
        "state": key.state.value,
        "published": _moment(key.published_at),
        "ends": _moment(key.ends_at),
    }


def _table(keys: Sequence[SigningKey]) -> Table:
    table = Table("key", "state", "published", "ends", box=None, pad_edge=False, header_style="dim")
    for each in keys:
        table.add_row(
            each.id, each.state.value, _moment(each.published_at) or "", _moment(each.ends_at) or ""
        )
    return table


def _moment(seconds: int | None) -> str | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC).isoformat()
