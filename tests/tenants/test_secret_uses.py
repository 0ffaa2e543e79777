"""Which webhook secret the tool uses, told without the secret."""

from datetime import UTC, datetime, timedelta

from google.protobuf.timestamp_pb2 import Timestamp

from tests.support.databases import TestDatabase
from tests.support.keys import Keys
from tests.tenants.client import Client, tenant
from tests.tenants.test_secrets import execute


def seconds(time: Timestamp) -> float:
    return time.ToDatetime(UTC).timestamp()


async def test_a_rotation_shows_which_secret_the_tool_uses(operator: Client, gateway: Client) -> None:
    made = await operator.create()
    rotated = await operator.rotate("acme")
    newer, older = await operator.secret_versions("acme")
    assert (newer.id, newer.version, older.version) == (rotated.secret_id, 2, 1)
    assert not newer.HasField("expire_time")
    assert older.expire_time == rotated.previous_expire_time
    assert not newer.HasField("last_used_time")
    assert not older.HasField("last_used_time")

    used = datetime.now(UTC) - timedelta(seconds=5)
    await gateway.record_uses(("acme", older.id, used))

    newer, older = await operator.secret_versions("acme")
    assert not newer.HasField("last_used_time")
    assert abs(seconds(older.last_used_time) - used.timestamp()) < 0.001
    told = f"{newer} {older}"
    assert made.webhook_secret not in told
    assert rotated.webhook_secret not in told


async def test_a_use_is_written_once_a_minute(operator: Client, gateway: Client) -> None:
    await operator.create()
    (secret,) = await operator.secret_versions("acme")
    first = datetime.now(UTC) - timedelta(seconds=120)

    for later, expected in ((0, 0), (59, 0), (61, 61), (10, 61)):
        await gateway.record_uses(("acme", secret.id, first + timedelta(seconds=later)))
        (secret,) = await operator.secret_versions("acme")
        assert round(seconds(secret.last_used_time) - first.timestamp()) == expected, later


async def test_a_clock_that_is_ahead_counts_as_now(operator: Client, gateway: Client) -> None:
    await operator.create()
    (secret,) = await operator.secret_versions("acme")

    await gateway.record_uses(("acme", secret.id, datetime.now(UTC) + timedelta(days=1)))

    (secret,) = await operator.secret_versions("acme")
    assert seconds(secret.last_used_time) <= datetime.now(UTC).timestamp()


async def test_several_clients_secrets_in_one_call_and_nobodys_are_passed_over(
    operator: Client, gateway: Client
) -> None:
    await operator.create()
    await operator.create(tenant("globex"))
    (of_acme,), (of_globex,) = [await operator.secret_versions(each) for each in ("acme", "globex")]
    now = datetime.now(UTC)

    await gateway.record_uses(
        ("acme", of_acme.id, now),
        ("globex", of_globex.id, now),
        ("globex", of_acme.id, now),
        ("nobody", "s1", now),
        ("no\0body", "s\0", now),
    )

    for each in ("acme", "globex"):
        (secret,) = await operator.secret_versions(each)
        assert secret.HasField("last_used_time")


async def test_a_gateway_that_acts_for_one_client_notes_nothing_of_anothers(
    operator: Client, keys: Keys
) -> None:
    await operator.create()
    (secret,) = await operator.secret_versions("acme")
    bound = Client(operator.stub, keys.metadata("tenants", tenant="globex", subject="gateway"))

    await bound.record_uses(("acme", secret.id, datetime.now(UTC)))

    (secret,) = await operator.secret_versions("acme")
    assert not secret.HasField("last_used_time")


async def test_what_counts_no_more_is_still_told(operator: Client, database: TestDatabase) -> None:
    await operator.create()
    await operator.rotate("acme")
    await execute(database, "update tenants.secrets set expire_time = now() where version = 1")

    _, older = await operator.secret_versions("acme")

    assert older.expire_time.ToDatetime(UTC) <= datetime.now(UTC)
