"""Every field and enum value of the protocol, and the case that shows what becomes of it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator

from google.protobuf.descriptor import Descriptor, EnumDescriptor, FileDescriptor
from google.protobuf.message import Message
from wire_client import WireClient

from penstock.wire.v1 import common_pb2, control_pb2, execution_pb2, streaming_pb2

Case = Callable[[WireClient], Awaitable[None]]
CASES: dict[str, Case] = {}
"""By ``Message.field`` and ``Enum.VALUE``."""
_shown: dict[Case, BaseException | None] = {}


def names() -> list[str]:
    """All that a case has to be there for, from the descriptors."""
    files = (common_pb2, execution_pb2, streaming_pb2, control_pb2)
    return [name for file in files for name in _of_file(file.DESCRIPTOR)]


def shows(*covered: str) -> Callable[[Case], Case]:
    """Enter a case for these names; raises ``ValueError`` where there is one."""

    def enter(case: Case) -> Case:
        for name in covered:
            if name in CASES:
                raise ValueError(f"{name} is shown twice")
            CASES[name] = case
        return case

    return enter


def fields_set(message: Message) -> list[str]:
    """The names of what a message has in it: its own fields, and those of messages within."""
    found = []
    for field, value in message.ListFields():
        found.append(f"{message.DESCRIPTOR.name}.{field.name}")
        is_map = field.message_type is not None and field.message_type.GetOptions().map_entry
        if field.message_type is not None and not is_map:
            for one in value if field.is_repeated else [value]:
                found += fields_set(one)
    return found


async def show(name: str, wire: WireClient) -> None:
    """Run the case of a name; one that has others too is run once for all of them."""
    case = CASES[name]
    if case not in _shown:
        try:
            await case(wire)
        except BaseException as exc:
            _shown[case] = exc
            raise
        _shown[case] = None
    failure = _shown[case]
    if failure is not None:
        raise failure


def _of_file(file: FileDescriptor) -> Iterator[str]:
    for message in file.message_types_by_name.values():
        yield from names_of(message)
    for enum in file.enum_types_by_name.values():
        yield from _of_enum(enum)


def names_of(message: Descriptor) -> Iterator[str]:
    """A message's fields, and the values of its own enums."""
    yield from (f"{message.name}.{field.name}" for field in message.fields)
    for enum in message.enum_types:
        yield from _of_enum(enum)


def _of_enum(enum: EnumDescriptor) -> Iterator[str]:
    yield from (f"{enum.name}.{value.name}" for value in enum.values)
