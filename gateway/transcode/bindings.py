"""What the annotations say: which HTTP method and path is which RPC. Read once, from the descriptors."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from google.api import annotations_pb2
from google.api.http_pb2 import HttpRule
from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor

from gateway.transcode.body import field_named
from gateway.transcode.template import PathTemplate

WHOLE_BODY = "*"


class AnnotationUnsupported(Exception):
    """A contract asks for something that is not done here; the gateway does not start."""


@dataclass(frozen=True, slots=True)
class Binding:
    service: str
    method: MethodDescriptor
    http_method: str
    template: PathTemplate
    body: str
    """`*` for the whole request, a field's name, or empty where there is no body."""


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
    if method.client_streaming or method.server_streaming:
        raise AnnotationUnsupported(f"{method.full_name}: a stream has no REST form")
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
