"""The operator's permits, as the services that keep to them read them from the environment."""

from typing import Annotated, TypeAlias

from pydantic import PlainValidator
from pydantic_settings import NoDecode

from egress.permits import Permits


def _permits(told: object) -> Permits:
    return told if isinstance(told, Permits) else Permits.parse(str(told))


PermittedNetworks: TypeAlias = Annotated[Permits, NoDecode, PlainValidator(_permits)]
