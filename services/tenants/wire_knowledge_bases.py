"""Between the contract's knowledge bases and the model's."""

from collections.abc import Mapping
from typing import Final

from dossier.tenants.v1 import knowledge_base_pb2
from dossier.tenants.v1 import tenant_service_pb2 as pb
from services.tenants.disclose import KnowledgeBaseAccess
from services.tenants.model import KnowledgeBase, KnowledgeBaseMode, TenantId

_SENT_MODES: Final[Mapping[KnowledgeBaseMode, "knowledge_base_pb2.KnowledgeBaseMode.ValueType"]] = {
    KnowledgeBaseMode.SYNC: knowledge_base_pb2.KNOWLEDGE_BASE_MODE_SYNC,
    KnowledgeBaseMode.SEARCH: knowledge_base_pb2.KNOWLEDGE_BASE_MODE_SEARCH,
    KnowledgeBaseMode.BOTH: knowledge_base_pb2.KNOWLEDGE_BASE_MODE_BOTH,
}
_MODES: Final = {sent: mode for mode, sent in _SENT_MODES.items()}


def read(base: knowledge_base_pb2.KnowledgeBase) -> KnowledgeBase:
    return KnowledgeBase(
        name=base.name,
        connector=base.connector,
        base_url=base.base_url,
        options=dict(base.options),
        mode=_MODES.get(base.mode, KnowledgeBaseMode.SYNC),
        sync_minutes=base.sync_minutes,
        deadline_ms=base.deadline_ms,
        paused=base.paused,
    )


def write(base: KnowledgeBase) -> knowledge_base_pb2.KnowledgeBase:
    return knowledge_base_pb2.KnowledgeBase(
        name=base.name,
        connector=base.connector,
        base_url=base.base_url,
        options=base.options,
        mode=_SENT_MODES[base.mode],
        sync_minutes=base.sync_minutes,
        deadline_ms=base.deadline_ms,
        paused=base.paused,
    )


def write_of_tenant(tenant: TenantId, bases: tuple[KnowledgeBase, ...]) -> pb.TenantKnowledgeBases:
    return pb.TenantKnowledgeBases(tenant_id=tenant, knowledge_bases=map(write, bases))


def write_access(access: KnowledgeBaseAccess) -> pb.GetKnowledgeBaseAccessResponse:
    return pb.GetKnowledgeBaseAccessResponse(
        knowledge_bases=[
            pb.KnowledgeBaseAccess(knowledge_base=write(base), credentials=access.credentials.get(base.name))
            for base in access.tenant.knowledge_bases
        ],
        secret_id=access.secret_id,
    )
