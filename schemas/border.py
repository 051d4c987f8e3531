"""The readable form of records at the borders: pydantic models derived from the records' one definition.

Bytes are 0x-hex, integers above 2**53 are decimal strings, names are the record's own. Used where people and other programs
meet our records (`sluice show`, golden files, JSON schemas); the hot path never comes here.
"""

from __future__ import annotations

import types
import typing
from enum import Enum
from functools import cache
from typing import Annotated, Any, Union

import msgspec
import pydantic
from pydantic import BeforeValidator, ConfigDict, PlainSerializer

from schemas.record import Part
from schemas.types import Signed, Wide

_JSON_SAFE = 2**53


def _hex_to_bytes(value: Any) -> bytes:
    if isinstance(value, str) and value.startswith("0x"):
        return bytes.fromhex(value[2:])
    if isinstance(value, bytes):
        return value
    raise ValueError("expected 0x-prefixed hex")


def _int_from_json(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise ValueError("expected an integer or a decimal string")
    return int(value)


def _int_to_json(value: int) -> int | str:
    return int(value) if abs(value) <= _JSON_SAFE else str(int(value))


_INT = (BeforeValidator(_int_from_json), PlainSerializer(_int_to_json, when_used="json"))
_WIDE = Annotated[int, *_INT, pydantic.Field(ge=0, lt=2**256)]
_SIGNED = Annotated[int, *_INT, pydantic.Field(ge=-(2**255), lt=2**255)]


def _constraints(meta: msgspec.Meta) -> dict[str, Any]:
    names = ("ge", "le", "min_length", "max_length")
    return {name: getattr(meta, name) for name in names if getattr(meta, name) is not None}


def _border_type(hint: Any) -> Any:
    """The pydantic type that stands for a record's field type."""
    origin = typing.get_origin(hint)
    if origin is Annotated:
        base, *metas = typing.get_args(hint)
        limits = {k: v for m in metas if isinstance(m, msgspec.Meta) for k, v in _constraints(m).items()}
        return Annotated[_border_type(base), pydantic.Field(**limits)]
    if origin in (Union, types.UnionType):
        return Union[tuple(_border_type(arg) for arg in typing.get_args(hint))]  # noqa: UP007 - built from a tuple
    if origin is tuple:
        return tuple[_border_type(typing.get_args(hint)[0]), ...]  # type: ignore[misc]  # made at run time
    if hint is bytes:
        to_hex = PlainSerializer(lambda b: "0x" + b.hex(), when_used="json")
        return Annotated[bytes, BeforeValidator(_hex_to_bytes), to_hex]
    if hint is Wide:
        return _WIDE
    if hint is Signed:
        return _SIGNED
    if hint is int:
        return Annotated[int, *_INT]
    if isinstance(hint, type) and issubclass(hint, Part):
        return border_model(hint)
    if (isinstance(hint, type) and issubclass(hint, Enum | str | bool)) or hint is type(None):
        return hint
    raise TypeError(f"no border form for {hint!r}")


@cache
def border_model(record: type[Part]) -> type[pydantic.BaseModel]:
    """The pydantic model of a record type; `model_json_schema()` of it documents the topic."""
    hints = typing.get_type_hints(record, include_extras=True)
    fields: dict[str, Any] = {f: (_border_type(hints[f]), ...) for f in record.__struct_fields__}
    config = ConfigDict(extra="forbid", frozen=True)
    return pydantic.create_model(record.__name__, __config__=config, __doc__=record.__doc__, **fields)


def to_json(record: Part) -> dict[str, Any]:
    """A record as JSON-ready values."""
    return border_model(type(record)).model_validate(_plain(record)).model_dump(mode="json")


def _plain(value: Any) -> Any:
    if isinstance(value, Part):
        return {name: _plain(getattr(value, name)) for name in value.__struct_fields__}
    if isinstance(value, tuple):
        return tuple(_plain(item) for item in value)
    return value
