"""Finds a verb's code when it is called for: each verb pays only for its own imports."""

from importlib import import_module
from typing import cast

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command

VERBS = {
    "up": "cli.commands.mesh:up",
    "down": "cli.commands.mesh:down",
    "status": "cli.commands.mesh:status",
    "demo": "cli.commands.demo:demo",
    "tenant": "cli.commands.tenant:tenant",
    "knowledge-base": "cli.commands.knowledge_bases:knowledge_base",
    "operator": "cli.commands.operator:operator",
    "import": "cli.commands.imports:import_rows",
    "search": "cli.commands.search:search",
    "lookup": "cli.commands.search:lookup",
    "enhance": "cli.commands.enhance:enhance",
    "enhancements": "cli.commands.enhancements:enhancements",
    "queue": "cli.commands.queue:queue",
    "evaluate": "cli.commands.evaluate:evaluate",
    "usage": "cli.commands.usage:usage",
    "token": "cli.commands.token:token",
    "stand-in": "cli.commands.stand_in:stand_in",
    "signing-keys": "cli.commands.signing_keys:signing_keys",
    "migrate": "cli.commands.migrate:migrate",
    "bench": "cli.commands.bench:bench_verb",
}
"""Name to `module:attribute`, in the order of the help: a function is a verb, a `typer.Typer` a group."""


class LazyVerbs(TyperGroup):
    def list_commands(self, ctx: object) -> list[str]:  # noqa: ARG002 - the base class's signature
        return list(VERBS)

    def get_command(
        self,
        ctx: object,  # noqa: ARG002 - the base class's signature
        cmd_name: str,
    ) -> TyperCommand | TyperGroup | None:
        if cmd_name not in VERBS:
            return None
        module, _, attribute = VERBS[cmd_name].partition(":")
        verb = getattr(import_module(module), attribute)
        if not isinstance(verb, typer.Typer):
            single = typer.Typer(add_completion=False, rich_markup_mode="rich")
            single.command(cmd_name)(verb)
            verb = single
        command = cast("TyperCommand | TyperGroup", get_command(verb))
        command.name = cmd_name
        return command
