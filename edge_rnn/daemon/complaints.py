"""What pydantic found wrong, said in our words: the key's path, what was expected, what came, and a suggestion."""

from __future__ import annotations

import difflib
import typing
from collections.abc import Iterable
from typing import Any

from pydantic import BaseModel, ValidationError

MOST = 5
LONGEST = 60


def suggestion(word: str, known: Iterable[str]) -> str:
    """`, did you mean "url"?` when one of the known words is near, else the list of them."""
    words = sorted(known)
    near = difflib.get_close_matches(word, words, 1, 0.6)
    return f', did you mean "{near[0]}"?' if near else f": known are {', '.join(words)}"


def sentences(error: ValidationError, root: type[BaseModel]) -> list[str]:
    """One sentence for each complaint, the first few of them."""
    found = error.errors(include_url=False)
    said = [_sentence(dict(one), root) for one in found[:MOST]]
    return [*said, f"and {len(found) - MOST} more"] if len(found) > MOST else said


def _sentence(one: dict[str, Any], root: type[BaseModel]) -> str:
    path = one["loc"]
    where = _where(path)
    if one["type"] == "extra_forbidden":
        table = _table(root, path[:-1])
        return f"unknown key {where}{suggestion(str(path[-1]), table.model_fields)}"
    if one["type"] == "missing":
        table = _table(root, path[:-1])
        extra = f", it has {', '.join(table.model_fields)}" if len(path) > 1 else ""
        return f"{where} is missing{extra}"
    message = str(one["msg"]).removeprefix("Value error, ")
    if one["type"] == "value_error":
        return f"{where} {message}".strip()
    return f"{where}: {message[0].lower()}{message[1:]}, got {_short(one['input'])}"


def _where(path: tuple[int | str, ...]) -> str:
    """`source[0].url`, counted from 1 as a person reads a file."""
    text = ""
    for part in path:
        text += f"[{part + 1}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}..."


def _table(root: type[BaseModel], path: tuple[int | str, ...]) -> type[BaseModel]:
    """The model that the path leads to."""
    table = root
    for part in path:
        if isinstance(part, str) and part in table.model_fields:
            kind = table.model_fields[part].annotation
            inner = [a for a in typing.get_args(kind) if isinstance(a, type) and issubclass(a, BaseModel)]
            table = inner[0] if inner else kind if isinstance(kind, type) and issubclass(kind, BaseModel) else table
    return table
