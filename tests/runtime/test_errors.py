"""What arrives at a client, reason by reason."""

from typing import Any

import grpc
import pytest
from google.rpc import error_details_pb2  # type: ignore[import-untyped]  # generated without stubs

from services.runtime import errors
from services.runtime.caller import current_tenant
from services.runtime.errors import ServiceError, error_info, status_of
from tests.runtime.harness import echo_service
from tests.support.grpc_echo import EchoStub, echo
from tests.support.keys import Keys

EVERY_ERROR = [
    (errors.InvalidArgument("x", field="text"), "INVALID_ARGUMENT", "INVALID_ARGUMENT"),
    (errors.Unauthenticated("x"), "UNAUTHENTICATED", "UNAUTHENTICATED"),
    (errors.TokenMissing("x"), "UNAUTHENTICATED", "TOKEN_MISSING"),
    (errors.TokenExpired("x"), "UNAUTHENTICATED", "TOKEN_EXPIRED"),
    (errors.TokenWrongAudience("x"), "UNAUTHENTICATED", "TOKEN_WRONG_AUDIENCE"),
    (errors.TokenInvalid("x"), "UNAUTHENTICATED", "TOKEN_INVALID"),
    (errors.PermissionDenied("x"), "PERMISSION_DENIED", "PERMISSION_DENIED"),
    (errors.TenantRequired("x"), "PERMISSION_DENIED", "TENANT_REQUIRED"),
    (errors.DependencyUnavailable("postgresql"), "UNAVAILABLE", "DEPENDENCY_UNAVAILABLE"),
    (errors.DeadlineExceeded("x"), "DEADLINE_EXCEEDED", "DEADLINE_EXCEEDED"),
    (errors.Internal("r-1"), "INTERNAL", "INTERNAL"),
]


@pytest.mark.parametrize(("error", "code", "reason"), EVERY_ERROR)
async def test_every_reason_arrives_once(keys: Keys, error: ServiceError, code: str, reason: str) -> None:
    async def fail(_text: str) -> str:
        raise error

    async with echo_service(keys, fail) as service:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await service.stub.Write(echo("tea"))
        status = status_of(caught.value)
    assert status is not None
    infos = [detail for detail in status.details if detail.Is(error_details_pb2.ErrorInfo.DESCRIPTOR)]
    info = error_info(caught.value)
    assert info is not None
    assert len(infos) == 1
    assert (caught.value.code().name, info.reason, info.domain) == (code, reason, "echo.dossier")


async def test_when_to_come_back_arrives_with_the_error(keys: Keys) -> None:
    class QuotaUsedUp(ServiceError):
        code = grpc.StatusCode.RESOURCE_EXHAUSTED
        reason = "QUOTA_USED_UP"

    async def fail(_text: str) -> str:
        raise QuotaUsedUp("no more today", retry_after_seconds=1.5)

    async with echo_service(keys, fail) as service:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await service.stub.Write(echo("tea"))
        status = status_of(caught.value)
    assert status is not None
    retry = error_details_pb2.RetryInfo()
    assert any(detail.Unpack(retry) for detail in status.details)
    assert retry.retry_delay.ToMilliseconds() == 1500


async def test_every_broken_field_is_named_with_its_place(keys: Keys) -> None:
    async def fine(text: str) -> str:
        return text

    async with echo_service(keys, fine) as service:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await service.stub.Say(echo("", "ok", "far too long"))
        status = status_of(caught.value)
    assert status is not None
    bad_request = error_details_pb2.BadRequest()
    assert any(detail.Unpack(bad_request) for detail in status.details)
    assert [violation.field for violation in bad_request.field_violations] == ["text", "tags[1]"]
    assert all(violation.description for violation in bad_request.field_violations)


async def test_a_bare_status_has_no_reason(keys: Keys) -> None:
    async def fine(text: str) -> str:
        return text

    async with echo_service(keys, fine) as service:
        missing: Any = service.channel.unary_unary("/kernel.test.v1.EchoService/Vanish")
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await missing(b"")
    assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED
    assert error_info(caught.value) is None


@pytest.mark.parametrize(
    ("metadata", "reason"),
    [
        ((), "TOKEN_MISSING"),
        ((("authorization", "Basic dXNlcjpwYXNz"),), "TOKEN_MISSING"),
        ((("authorization", "Bearer "),), "TOKEN_MISSING"),
        ((("authorization", "Bearer garbage"),), "TOKEN_INVALID"),
    ],
)
async def test_a_call_without_a_good_token_is_unauthenticated(
    keys: Keys, metadata: tuple[tuple[str, str], ...], reason: str
) -> None:
    assert await _refused(keys, metadata) == reason


async def test_an_expired_token_and_one_for_another_service_say_so(keys: Keys) -> None:
    expired = keys.mint("echo", ttl_seconds=-60)
    assert await _refused(keys, (("authorization", f"Bearer {expired}"),)) == "TOKEN_EXPIRED"
    assert await _refused(keys, keys.metadata("history")) == "TOKEN_WRONG_AUDIENCE"


async def test_work_for_a_tenant_needs_a_token_that_names_one(keys: Keys) -> None:
    assert await _refused(keys, keys.metadata("echo", tenant=None)) == "TENANT_REQUIRED"


async def _refused(keys: Keys, metadata: tuple[tuple[str, str], ...]) -> str:
    """The reason why a call with this metadata, and none of the kernel's, is refused."""

    async def tenant_of(_text: str) -> str:
        return current_tenant()

    async with (
        echo_service(keys, tenant_of) as service,
        grpc.aio.insecure_channel(service.running.target) as channel,
    ):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await EchoStub(channel).Say(echo("tea"), metadata=metadata)
    info = error_info(caught.value)
    assert info is not None
    return str(info.reason)


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        (errors.DependencyUnavailable("postgresql"), ("UNAVAILABLE", "DEPENDENCY_UNAVAILABLE")),
        (errors.DeadlineExceeded("x"), ("DEADLINE_EXCEEDED", "DEADLINE_EXCEEDED")),
        (errors.InvalidArgument("x", field="text"), ("INTERNAL", "INTERNAL")),
        (errors.TokenMissing("x"), ("INTERNAL", "INTERNAL")),
    ],
)
async def test_a_failure_of_a_needed_service_becomes_our_own(
    keys: Keys, theirs: ServiceError, ours: tuple[str, str]
) -> None:
    async def fail(_text: str) -> str:
        raise theirs

    async with echo_service(keys, fail, name="second") as second:

        async def forward(text: str) -> str:
            return str((await second.stub.Write(echo(text))).text)

        async with echo_service(keys, forward, name="first") as first:
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await first.stub.Write(echo("tea"))
    info = error_info(caught.value)
    assert info is not None
    assert (caught.value.code().name, info.reason) == ours
    assert info.domain == "first.dossier"
