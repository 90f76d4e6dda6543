"""Classes of named fields without `dataclasses`, which writes and compiles every method of every class at each start.

    class Point(Value):        frozen, hashable          class Sums(Fields):        the same, but its fields may change
        x: float                                             total: int = 0
        y: float = 0.0

All that `import edge_rnn` loads is made of these; type checkers know the constructors by `dataclass_transform` (PEP
681), and `dataclasses.replace`, `fields` and `asdict` take them. Nothing is checked here but that every field has one
value: `__post_init__` is for the rest.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, TypeVar, dataclass_transform

T = TypeVar("T")


class _Factory:
    def __init__(self, make: Callable[[], Any]) -> None:
        self.make = make


def fresh(*, factory: Callable[[], T]) -> T:
    """A field's default that is made anew for each object: `fresh(factory=dict)`."""
    default: Any = _Factory(factory)
    return default  # type: ignore[no-any-return]


class _ForDataclasses:
    """What the functions of `dataclasses` look for; made when they look."""

    def __get__(self, instance: object, owner: type[_Named]) -> dict[str, Any]:
        from dataclasses import fields, make_dataclass

        return {field.name: field for field in fields(make_dataclass(owner.__name__, owner._fields.items()))}


class _Named:
    """Constructor, ==, repr and `to_dict`, by the names of the fields."""

    _fields: ClassVar[dict[str, Any]] = {}
    """Name -> annotation, in the order of the constructor."""
    _defaults: ClassVar[dict[str, Any]] = {}
    __dataclass_fields__ = _ForDataclasses()

    def __init_subclass__(cls) -> None:
        own = cls.__annotations__
        cls._fields = {**cls._fields, **own}
        cls._defaults = {**cls._defaults, **{name: cls.__dict__[name] for name in own if name in cls.__dict__}}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        names = self._fields
        if len(args) != len(names) or kwargs:
            args = self._complete(args, kwargs)
        self.__dict__.update(zip(names, args, strict=True))
        self.__post_init__()

    def _complete(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, ...]:
        """A value for each field, from what was given and the defaults; raises TypeError."""
        values = list(args)
        for name in [*self._fields][len(args) :]:
            if name in kwargs:
                values.append(kwargs.pop(name))
            elif name in self._defaults:
                default = self._defaults[name]
                values.append(default.make() if isinstance(default, _Factory) else default)
            else:
                raise TypeError(f"{type(self).__name__} lacks {name}, expected {', '.join(self._fields)}")
        if kwargs or len(args) > len(self._fields):
            surplus = ", ".join(sorted(kwargs)) or f"{len(args)} values"
            raise TypeError(f"{type(self).__name__} got {surplus}, expected one of each: {', '.join(self._fields)}")
        return tuple(values)

    def __post_init__(self) -> None:
        """Check what came; a subclass's own."""

    def _values(self) -> tuple[Any, ...]:
        return tuple([getattr(self, name) for name in self._fields])

    def __eq__(self, other: object) -> bool:
        return self._values() == other._values() if type(other) is type(self) else NotImplemented

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{name}={getattr(self, name)!r}' for name in self._fields)})"

    def to_dict(self) -> dict[str, Any]:
        """Field -> value, in order; what is inside a value stays as it is."""
        return dict(zip(self._fields, self._values(), strict=True))


@dataclass_transform(field_specifiers=(fresh,))
class Fields(_Named):
    """Fields that may change."""


@dataclass_transform(frozen_default=True, field_specifiers=(fresh,))
class Value(_Named):
    """Fields that never change; equal ones have the same hash where their fields have one."""

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"{type(self).__name__}.{name} is frozen: dataclasses.replace makes another one")

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"{type(self).__name__}.{name} is frozen and stays")

    def __hash__(self) -> int:
        return hash(self._values())
