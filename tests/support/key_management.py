"""AWS KMS on loopback, by moto: its own wire format over real HTTP."""

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from io import BytesIO
from threading import Thread
from typing import Any, Final
from uuid import uuid4

import boto3
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import BaseWSGIServer, WSGIRequestHandler, make_server

REGION: Final = "eu-central-1"


class KeyManagement:
    """Counts what it is asked. `disabled` keys are refused as AWS does; moto goes on with them."""

    def __init__(self) -> None:
        self.calls: Counter[str] = Counter()
        self.disabled: set[str] = set()
        self._moto = DomainDispatcherApplication(create_backend_app)
        self._server: BaseWSGIServer | None = None
        self._port = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    def new_key(self) -> str:
        arn: str = self._admin().create_key()["KeyMetadata"]["Arn"]
        return arn

    def new_alias(self, key: str) -> str:
        name = f"alias/dossier-{uuid4()}"
        self._admin().create_alias(AliasName=name, TargetKeyId=key)
        return f"{key.rpartition(':')[0]}:{name}"

    def point(self, alias: str, key: str) -> None:
        self._admin().update_alias(AliasName=alias.rpartition(":")[2], TargetKeyId=key)

    def start(self) -> None:
        """On the same port as before, where it was stopped."""
        self._server = make_server(
            "127.0.0.1", self._port, self._answer, threaded=True, request_handler=_Silent
        )
        self._port = self._server.server_port
        Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def stop(self) -> None:
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    def _admin(self) -> Any:
        return boto3.client(
            "kms",
            region_name=REGION,
            endpoint_url=self.url,
            aws_access_key_id="test",
            aws_secret_access_key="test",
        )

    def _answer(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        environ["wsgi.input"] = BytesIO(body)
        operation = environ["HTTP_X_AMZ_TARGET"].rpartition(".")[2]
        self.calls[operation] += 1
        if operation in {"Encrypt", "Decrypt"} and json.loads(body)["KeyId"] in self.disabled:
            start_response("400 Bad Request", [("Content-Type", "application/x-amz-json-1.1")])
            return [json.dumps({"__type": "DisabledException", "message": "key is disabled"}).encode()]
        answered: Iterable[bytes] = self._moto(environ, start_response)
        return answered


class _Silent(WSGIRequestHandler):
    def log(self, type: str, message: str, *args: object) -> None:  # noqa: A002 - its parent's name
        del type, message, args


@contextmanager
def key_management() -> Iterator[KeyManagement]:
    service = KeyManagement()
    service.start()
    try:
        yield service
    finally:
        service.stop()
