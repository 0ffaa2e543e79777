"""`dossier tenant reencrypt-secrets`: the key-encryption key is changed."""

import asyncio
from dataclasses import dataclass, field

from cli.instance import Instance
from cli.options import DataDirOption
from cli.output import Json, JsonOption, Output
from cli.paging import pages
from cli.progress import progress_of
from cli.tenancy import asking_tenants
from cli.words import number_of
from dossier.tenants.v1 import tenant_service_pb2 as pb

_PAGE = 100
_LEFT = 1
"""The exit code where some do not open."""


@dataclass(slots=True)
class _Done:
    clients: int = 0
    secrets: int = 0
    key_id: str = ""
    unreadable: list[pb.UnreadableSecret] = field(default_factory=list)

    @property
    def shown(self) -> str:
        said = f"Sealed again: {number_of(self.secrets, 'secret')} of {number_of(self.clients, 'client')}"
        if not self.unreadable:
            return f"{said}; none needs another key than {self.key_id}."
        named = "".join(
            f"\n  {each.tenant_id}: {each.kind} secret {each.version}, sealed with {each.key_id}"
            for each in self.unreadable
        )
        return (
            f"{said}. These do not open with any key there is:{named}\n"
            "Give tenants the keys they are sealed with and run this again, or replace the secrets."
        )

    @property
    def data(self) -> dict[str, Json]:
        unreadable: list[Json] = [
            {"tenant": each.tenant_id, "kind": each.kind, "version": each.version, "key_id": each.key_id}
            for each in self.unreadable
        ]
        return {
            "tenants": self.clients,
            "secrets": self.secrets,
            "key_id": self.key_id,
            "unreadable": unreadable,
        }


def reencrypt_secrets(*, data_dir: DataDirOption = None, as_json: JsonOption = False) -> int:
    """Seal all clients' secrets again with the current key-encryption key, so that an older one can go.

    Those that do not open are left as they are and named; the exit code is 1 then.
    """
    output = Output(as_json=as_json)
    done = asyncio.run(_reencrypt(Instance.resolve(data_dir), output))
    output.result(done.data, shown=done.shown)
    return _LEFT if done.unreadable else 0


async def _reencrypt(instance: Instance, output: Output) -> _Done:
    all_done = _Done()
    request = pb.ReencryptSecretsRequest(page_size=_PAGE)
    async with asking_tenants(instance) as tenants:
        with progress_of("clients", total=None, output=output) as advance:
            async for done in pages(tenants.ReencryptSecrets, request):
                all_done.clients += done.tenants
                all_done.secrets += done.secrets
                all_done.key_id = done.key_id
                all_done.unreadable += done.unreadable
                advance(done.tenants)
    return all_done
