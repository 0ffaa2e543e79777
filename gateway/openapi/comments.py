"""What the contracts' comments say, from the descriptor set that is generated beside the code."""

from collections.abc import Iterable, Iterator, Mapping
from importlib.resources import files

from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    EnumDescriptorProto,
    FileDescriptorProto,
    FileDescriptorSet,
)

Comments = Mapping[str, str]
"""Comment by the full name of a message, field, enum, value, service or method."""

_Path = tuple[int, ...]

# Field numbers in descriptor.proto, of which the paths of source locations consist.
_FILE_MESSAGE, _FILE_ENUM, _FILE_SERVICE = 4, 5, 6
_MESSAGE_FIELD, _MESSAGE_NESTED, _MESSAGE_ENUM = 2, 3, 4
_ENUM_VALUE, _SERVICE_METHOD = 2, 2


def packaged_comments() -> Comments:
    """Python's generated code has lost them."""
    return read_comments((files("dossier") / "descriptors.binpb").read_bytes())


def read_comments(descriptor_set: bytes) -> Comments:
    comments: dict[str, str] = {}
    for file in FileDescriptorSet.FromString(descriptor_set).file:
        names = dict(_names(file))
        for location in file.source_code_info.location:
            name = names.get(tuple(location.path))
            if name is not None and location.leading_comments:
                comments[name] = " ".join(location.leading_comments.split())
    return comments


def _names(file: FileDescriptorProto) -> Iterator[tuple[_Path, str]]:
    for number, message in enumerate(file.message_type):
        yield from _of_message(message, (_FILE_MESSAGE, number), file.package)
    for number, enum in enumerate(file.enum_type):
        yield from _of_enum(enum, (_FILE_ENUM, number), file.package)
    for number, service in enumerate(file.service):
        path, name = (_FILE_SERVICE, number), f"{file.package}.{service.name}"
        yield path, name
        yield from _members(path, _SERVICE_METHOD, name, [method.name for method in service.method])


def _of_message(message: DescriptorProto, path: _Path, scope: str) -> Iterator[tuple[_Path, str]]:
    name = f"{scope}.{message.name}"
    yield path, name
    yield from _members(path, _MESSAGE_FIELD, name, [field.name for field in message.field])
    for number, nested in enumerate(message.nested_type):
        yield from _of_message(nested, (*path, _MESSAGE_NESTED, number), name)
    for number, enum in enumerate(message.enum_type):
        yield from _of_enum(enum, (*path, _MESSAGE_ENUM, number), name)


def _of_enum(enum: EnumDescriptorProto, path: _Path, scope: str) -> Iterator[tuple[_Path, str]]:
    name = f"{scope}.{enum.name}"
    yield path, name
    yield from _members(path, _ENUM_VALUE, name, [value.name for value in enum.value])


def _members(path: _Path, kind: int, scope: str, names: Iterable[str]) -> Iterator[tuple[_Path, str]]:
    for number, name in enumerate(names):
        yield (*path, kind, number), f"{scope}.{name}"
