"""The OpenAPI document by itself: it is sound, and says what the contracts say."""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gateway.mesh import CONTRACTS
from gateway.openapi.comments import packaged_comments, read_comments
from gateway.openapi.document import openapi_document
from gateway.transcode.bindings import bindings

METHODS = {"get", "post", "put", "patch", "delete"}


@pytest.fixture(scope="module")
def document() -> Any:
    return openapi_document(
        bindings(CONTRACTS), comments=packaged_comments(), aliases=["servicedesk"], public_url=""
    )


def operations(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, item in document["paths"].items():
        for method, operation in item.items():
            assert method in METHODS, path
            yield path, method, operation


def nodes(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        yield value
        for inner in value.values():
            yield from nodes(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from nodes(inner)


def test_the_document_is_sound(document: dict[str, Any]) -> None:
    assert document["openapi"].startswith("3.1.")
    assert document["info"].keys() >= {"title", "version"}
    ids = [operation["operationId"] for _, _, operation in operations(document)]
    assert len(ids) == len(set(ids))
    for path, method, operation in operations(document):
        assert path.startswith("/"), path
        parameters = operation.get("parameters", [])
        in_path = {each["name"] for each in parameters if each["in"] == "path"}
        assert in_path == set(re.findall(r"\{([^}]+)\}", path)), path
        assert all(each["required"] for each in parameters if each["in"] == "path")
        assert all(each["in"] in {"path", "query", "header"} and "schema" in each for each in parameters)
        assert len({(each["in"], each["name"]) for each in parameters}) == len(parameters)
        assert operation["responses"], path
        for status, response in operation["responses"].items():
            assert re.fullmatch(r"[1-5]\d\d|default", status)
            assert "$ref" in response or response["description"], path
        if method in {"get", "delete"}:
            assert "requestBody" not in operation
        for need in operation.get("security", document["security"]):
            assert set(need) <= set(document["components"]["securitySchemes"])


def test_every_reference_leads_somewhere_and_every_schema_is_one(document: dict[str, Any]) -> None:
    types = {"object", "array", "string", "integer", "number", "boolean"}
    for node in nodes(document):
        if isinstance(reference := node.get("$ref"), str):
            target: Any = document
            for step in reference.removeprefix("#/").split("/"):
                target = target[step]
            assert target
    for schema in nodes(document["components"]["schemas"]):
        kind = schema.get("type")
        if isinstance(kind, str):
            assert kind in types
            assert kind != "array" or "items" in schema


def test_every_annotated_route_is_described(document: dict[str, Any]) -> None:
    described = {(path, method) for path, method, _ in operations(document)}
    annotated = {(each.template.plain, each.http_method.lower()) for each in bindings(CONTRACTS)}
    by_hand = {
        ("/webhooks/{tenant}/{tool}", "post"),
        ("/webhook/{alias}", "post"),
        ("/v1/enhancements/{enhancement_id}/events", "get"),
        ("/v1/tenants/{tenant_id}/export", "get"),
        ("/healthz", "get"),
        ("/readyz", "get"),
        ("/openapi.json", "get"),
    }
    assert described == annotated | by_hand


def test_rules_of_the_contract_are_in_the_schemas(document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]
    search = schemas["history.v1.SearchSimilarTicketsRequest"]["properties"]
    rules = {name: value for name, value in search["limit"].items() if name != "description"}
    assert rules == {"type": "integer", "format": "int32", "minimum": 0, "maximum": 100}
    assert search["assets"]["maxItems"] == 64
    assert search["assets"]["items"] == {"type": "string", "maxLength": 256}
    assert schemas["orchestrator.v1.CreateEnhancementRequest"]["required"] == ["ticket"]
    assert schemas["history.v1.PastTicket"]["properties"]["create_time"]["format"] == "date-time"
    assert "ENHANCEMENT_STATE_QUEUED" in schemas["orchestrator.v1.EnhancementState"]["enum"]
    credentials = schemas["tenants.v1.CreateTenantRequest"]["properties"]["ticketing_credentials"]
    assert credentials["additionalProperties"] == {"type": "string", "maxLength": 8192}
    assert "minimum" not in schemas["tenants.v1.BriefSettings"]["properties"]["max_words"]


def test_headers_that_count_are_described(document: dict[str, Any]) -> None:
    def headers(path: str, method: str) -> set[str]:
        return {
            each["name"] for each in document["paths"][path][method]["parameters"] if each["in"] == "header"
        }

    assert headers("/v1/tenants/{tenant_id}", "patch") == {"If-Match"}
    assert headers("/v1/tenants/{tenant_id}/apiKeys", "post") == {"Idempotency-Key"}
    assert headers("/v1/tenants/{tenant_id}", "get") == set()


def test_a_role_is_one_that_may_be_given(document: dict[str, Any]) -> None:
    request = document["components"]["schemas"]["tenants.v1.CreateApiKeyRequest"]

    assert request["properties"]["role"]["enum"] == ["ROLE_ADMIN", "ROLE_TECHNICIAN", "ROLE_VIEWER"]
    tenant = document["components"]["schemas"]["tenants.v1.Tenant"]["properties"]
    assert tenant["id"]["examples"] == ["acme", "acme-2"]


def test_query_parameters_are_the_fields_that_path_and_body_leave(document: dict[str, Any]) -> None:
    parameters = document["paths"]["/v1/tickets/{ticket_id}"]["get"]["parameters"]
    assert [(each["name"], each["in"]) for each in parameters] == [("ticket_id", "path"), ("source", "query")]
    assert document["paths"]["/v1/tickets"]["post"]["parameters"] == []
    assert document["paths"]["/v1/tickets:search"]["post"]["parameters"] == []


def test_comments_of_the_contracts_become_descriptions(tmp_path: Path) -> None:
    (tmp_path / "toy.proto").write_text(
        'syntax = "proto3"; package dossier.history.v1;\n'
        "// Answers.\nservice HistoryService {\n"
        "  // Reads one past ticket. Safe to retry.\n"
        "  rpc GetTicket(GetTicketRequest) returns (GetTicketRequest);\n}\n"
        "// Asks.\nmessage GetTicketRequest {\n"
        "  // The tool's\n  // identifier.\n  string ticket_id = 1;\n}\n"
        "// Kinds.\nenum Kind {\n  // None.\n  KIND_UNSPECIFIED = 0;\n}\n"
    )
    packed = tmp_path / "descriptors.binpb"
    subprocess.run(
        [
            sys.executable,
            "-m",
            "grpc_tools.protoc",
            f"-I{tmp_path}",
            f"--descriptor_set_out={packed}",
            "--include_source_info",
            "toy.proto",
        ],
        check=True,
    )
    comments = read_comments(packed.read_bytes())
    assert comments["dossier.history.v1.GetTicketRequest.ticket_id"] == "The tool's identifier."
    assert comments["dossier.history.v1.Kind.KIND_UNSPECIFIED"] == "None."
    document: Any = openapi_document(bindings(CONTRACTS), comments=comments, aliases=["a"], public_url="")
    operation = document["paths"]["/v1/tickets/{ticket_id}"]["get"]
    assert operation["summary"] == "Reads one past ticket"
    assert operation["parameters"][0]["description"] == "The tool's identifier."
    assert "Needs the role `viewer`." in operation["description"]
