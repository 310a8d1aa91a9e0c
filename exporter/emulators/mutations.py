"""Faults of a JSON answer: functions from its bytes to the bytes of a damaged one."""

import codecs
import json
from collections.abc import Callable
from typing import Any


def truncated(body: bytes) -> bytes:
    """The first half."""
    return body[: len(body) // 2]


def wrong_types(body: bytes) -> bytes:
    """Words where numbers were; a lone word when there was no number."""
    value = json.loads(body)
    spoilt = with_numbers(value, lambda number: "many")
    return dump("nothing" if spoilt == value else spoilt)


def not_a_number(body: bytes) -> bytes:
    """NaN, which JSON does not know, where numbers were."""
    return dump(with_numbers(json.loads(body), lambda number: float("nan")))


def negative(body: bytes) -> bytes:
    """Every number below zero."""
    return dump(with_numbers(json.loads(body), lambda number: -abs(number) or -1))


def huge(body: bytes) -> bytes:
    """Numbers that no 64-bit integer holds: 10**30 for whole ones, 1e300 for others."""
    return dump(with_numbers(json.loads(body), lambda n: 10**30 if isinstance(n, int) else 1e300))


def duplicate_keys(body: bytes) -> bytes:
    """Every object's plain members twice, numbers with another value the second time."""
    return twice(json.loads(body)).encode()


def with_byte_order_mark(body: bytes) -> bytes:
    """The correct answer after a byte order mark, which only a strict reader refuses."""
    return codecs.BOM_UTF8 + body


MUTATIONS: dict[str, Callable[[bytes], bytes]] = {
    "truncated": truncated,
    "wrong-types": wrong_types,
    "nan": not_a_number,
    "negative": negative,
    "huge": huge,
    "duplicate-keys": duplicate_keys,
    "bom": with_byte_order_mark,
}


def dump(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode()


def is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def with_numbers(value: Any, change: Callable[[int | float], Any]) -> Any:
    """The same JSON value with every number changed."""
    if isinstance(value, dict):
        return {name: with_numbers(member, change) for name, member in value.items()}
    if isinstance(value, list):
        return [with_numbers(member, change) for member in value]
    return change(value) if is_number(value) else value


def twice(value: Any) -> str:
    """JSON text in which every plain member of an object stands twice."""
    if isinstance(value, list):
        return f"[{','.join(map(twice, value))}]"
    if not isinstance(value, dict):
        return json.dumps(value, ensure_ascii=False)
    members = [(name, member) for name, member in value.items()]
    members += [
        (name, member * 2 + 1 if is_number(member) else member)
        for name, member in value.items()
        if not isinstance(member, dict | list)
    ]
    return f"{{{','.join(f'{json.dumps(name)}:{twice(member)}' for name, member in members)}}}"
