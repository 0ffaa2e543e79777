"""A grpc.aio server whose call does nothing: `python -m cli.bench.empty_server` prints where it listens."""

import asyncio
import signal
import sys

import grpc
import uvloop
from grpc_health.v1 import health_pb2, health_pb2_grpc


class _Empty(health_pb2_grpc.HealthServicer):
    async def Check(  # noqa: N802 - the contract's name
        self,
        request: health_pb2.HealthCheckRequest,  # noqa: ARG002 - the contract's signature
        context: object,  # noqa: ARG002
    ) -> health_pb2.HealthCheckResponse:
        return health_pb2.HealthCheckResponse()


async def _serve() -> None:
    told = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, told.set)
    server = grpc.aio.server()
    health_pb2_grpc.add_HealthServicer_to_server(_Empty(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    sys.stdout.write(f"127.0.0.1:{port}\n")
    sys.stdout.flush()
    await told.wait()
    await server.stop(None)


if __name__ == "__main__":
    uvloop.run(_serve())
