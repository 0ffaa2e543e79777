"""What the annotations say: which HTTP method and path is which RPC. Read once, from the descriptors."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from google.api import annotations_pb2
from google.api.http_pb2 import HttpRule
from google.protobuf.descriptor import Descriptor, MethodDescriptor, ServiceDescriptor

from gateway.transcode.body import field_named
from gateway.transcode.template import PathTemplate

WHOLE_BODY = "*"

_TOLD: Final = frozenset({"row", "id", "field", "reason"})
"""What an import's answer says of each row that was rejected."""


class AnnotationUnsupported(Exception):
    """A contract asks for something that is not done here; the gateway does not start."""


@dataclass(frozen=True, slots=True)
class Binding:
    service: str
    method: MethodDescriptor
    http_method: str
    template: PathTemplate
    body: str
    """`*` for the whole request, a field's name, or empty where there is no body. Where the RPC takes a
    stream, the field of its messages that holds the rows: each line of the body is one."""

    @property
    def is_import(self) -> bool:
        return self.method.client_streaming

    @property
    def body_type(self) -> Descriptor | None:
        """What the body, or a line of it, is; None where that is the whole request, or nothing."""
        field = self.method.input_type.fields_by_name.get(self.body)
        return None if field is None else field.message_type


def bindings(contracts: Mapping[str, ServiceDescriptor]) -> tuple[Binding, ...]:
    """Every binding of the services, in an order in which the first that matches is the right one."""
    found = [
        binding
        for service, contract in contracts.items()
        for method in contract.methods
        for binding in _of_method(service, method)
    ]
    return tuple(sorted(found, key=lambda binding: binding.template.looseness))


def _of_method(service: str, method: MethodDescriptor) -> Iterator[Binding]:
    options = method.GetOptions()
    if not options.HasExtension(annotations_pb2.http):
        return
    if method.server_streaming:
        raise AnnotationUnsupported(f"{method.full_name}: a stream of answers has no REST form")
    rule = options.Extensions[annotations_pb2.http]
    for each in (rule, *rule.additional_bindings):
        binding = _binding(service, method, each)
        _check(binding, each)
        yield binding


def _binding(service: str, method: MethodDescriptor, rule: HttpRule) -> Binding:
    pattern = rule.WhichOneof("pattern")
    if pattern is None or pattern == "custom":
        raise AnnotationUnsupported(f"{method.full_name}: the pattern must be a method with a path")
    template = PathTemplate.parse(getattr(rule, pattern))
    return Binding(service, method, pattern.upper(), template, rule.body)


def _check(binding: Binding, rule: HttpRule) -> None:
    method, fields = binding.method, binding.method.input_type
    if rule.response_body:
        raise AnnotationUnsupported(f"{method.full_name}: response_body is not supported")
    if binding.body not in {"", WHOLE_BODY} and binding.body not in fields.fields_by_name:
        raise AnnotationUnsupported(f"{method.full_name}: the body {binding.body} is no field")
    for variable in binding.template.variables:
        if field_named(fields, variable) is None:
            raise AnnotationUnsupported(f"{method.full_name}: the variable {variable} is no field")
    if binding.is_import:
        _check_import(binding)


def _check_import(binding: Binding) -> None:
    name = binding.method.full_name
    if binding.http_method != "POST" or binding.template.variables:
        raise AnnotationUnsupported(f"{name}: rows are posted to a path without variables")
    if binding.body_type is None or not binding.method.input_type.fields_by_name[binding.body].is_repeated:
        raise AnnotationUnsupported(f"{name}: the body must be the field of the rows")
    answer = binding.method.output_type.fields_by_name
    rejected = answer.get("rejected")
    told = rejected.message_type if rejected is not None else None
    if "rejected_count" not in answer or told is None or not _TOLD.issubset(told.fields_by_name.keys()):
        raise AnnotationUnsupported(f"{name}: the answer must tell the rows that were rejected")
