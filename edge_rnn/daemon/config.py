"""The daemon's configuration: strict TOML in, a frozen `Config` out. A wrong file is one sentence with the key's name.

It must never guess: an unknown key is an error with a suggestion, and nothing is opened, created or looked up here.
"""

from __future__ import annotations

import os
import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from ..errors import MissingExtra, UsageError

# Looking for plugins reads the metadata of every installed package, a tenth of the time from start to inference.
os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
try:
    from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator
except ModuleNotFoundError as error:
    raise MissingExtra("pydantic", "daemon", "edge-rnn daemon") from error

from .complaints import sentences, suggestion

MAX_BYTES = 1 << 20
SINK_KINDS = ("", "file", "mqtt", "http", "https", "unix")
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$")]


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Device(_Table):
    """Who this is: the name is part of MQTT topics."""

    name: Name = "edge-rnn"


class Source(_Table):
    """Where samples come from. `channels` are in the order of the columns; empty means the model's, by name."""

    id: Name
    url: str = Field(min_length=1)
    baud: int | None = Field(default=None, gt=0, le=20_000_000)
    channels: list[str] = []
    rate_hz: float | None = Field(default=None, gt=0, le=1e6)
    buffer_samples: int = Field(default=8192, ge=16, le=1 << 24)


class Pipeline(_Table):
    """One model on one source."""

    id: Name
    source: Name
    model: str = Field(min_length=1)
    engine: Literal["auto", "native", "onnxruntime", "numpy"] = "auto"


class Sink(_Table):
    """Where events go. `delivery` is when an event counts as delivered; `spool_mb` bounds what waits for it."""

    url: str = Field(min_length=1)
    id: Name | None = None
    delivery: Literal["puback", "app-ack"] = "puback"
    spool_mb: float = Field(default=16, gt=0, le=1 << 20)
    window: int = Field(default=20, ge=1, le=1000)
    ack_timeout_s: float = Field(default=10.0, gt=0, le=3600)
    scores: bool = False
    commands: bool = False
    discovery: Annotated[str, Field(pattern=r"^[^+#/\x00][^+#\x00]*$")] | None = None

    @field_validator("url")
    @classmethod
    def _known_kind(cls, url: str) -> str:
        kind = _scheme(url)
        if kind not in SINK_KINDS:
            known = ", ".join(f"{k}://" for k in SINK_KINDS if k)
            raise ValueError(f"is of kind {kind}://, expected {known} or a path")
        return url

    @model_validator(mode="after")
    def _acknowledged_by_whom(self) -> Sink:
        if self.delivery == "app-ack" and _scheme(self.url) not in ("mqtt", "unix"):
            raise ValueError('delivery = "app-ack" is for mqtt:// and unix:// sinks, this one is neither: leave it out')
        for key in ("scores", "commands", "discovery"):
            if getattr(self, key) and _scheme(self.url) != "mqtt":
                raise ValueError(f"{key} is for mqtt:// sinks, this one is none: leave it out")
        return self

    @property
    def name(self) -> str:
        """Under what the store remembers how far this sink is: the id, or the URL without user and password."""
        if self.id is not None:
            return self.id
        parts = urlsplit(self.url)
        return f"{parts.scheme}://{parts.hostname or ''}{parts.path}" if parts.scheme else self.url


class Service(_Table):
    """The daemon itself. Times in milliseconds or seconds, as the names say."""

    socket: str | None = None
    metrics: str | None = None
    dashboard: bool = False
    state_dir: str = "/var/lib/edge-rnn"
    checkpoint_ms: int = Field(default=100, ge=10, le=60_000)
    tick_ms: float = Field(default=6.0, ge=0.0, le=1000.0)
    stop_s: float = Field(default=5.0, gt=0, le=300)

    @field_validator("metrics")
    @classmethod
    def _an_address(cls, address: str | None) -> str | None:
        host, _, port = (address or "localhost:0").rpartition(":")
        if not host or not (port.isascii() and port.isdigit()) or int(port) > 65535:
            raise ValueError(f'is {address!r}, expected HOST:PORT, for example "127.0.0.1:9108"')
        return address

    @field_validator("dashboard")
    @classmethod
    def _not_yet(cls, wanted: bool) -> bool:
        if wanted:
            raise ValueError("the dashboard is not part of this release: set it to false or leave it out")
        return wanted


class Config(_Table):
    """A whole file."""

    device: Device = Device()
    source: list[Source] = Field(min_length=1)
    pipeline: list[Pipeline] = Field(min_length=1)
    sink: list[Sink] = []
    service: Service = Service()

    @model_validator(mode="after")
    def _names_fit(self) -> Config:
        sources = [one.id for one in self.source]
        for kind, names in (
            ("source", sources),
            ("pipeline", [one.id for one in self.pipeline]),
            ("sink", [one.name for one in self.sink]),
        ):
            for name in names:
                if names.count(name) > 1:
                    raise ValueError(f"two {kind}s have the id {name!r}: give each its own")
        for one in self.pipeline:
            if one.source not in sources:
                hint = suggestion(one.source, sources)
                raise ValueError(f"pipeline {one.id!r} has the source {one.source!r}, which is no source's id{hint}")
        return self


def read_config(path: str | Path) -> Config:
    """Read and check a file; raises UsageError with every complaint, each with its key."""
    path = Path(path)
    try:
        with path.open("rb") as file:
            blob = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise UsageError(f"cannot read the configuration {path}: {error.strerror}") from error
    if len(blob) > MAX_BYTES:
        raise UsageError(f"the configuration {path} is larger than 1 MiB: is it the right file?")
    return parse_config(blob, str(path))


def parse_config(blob: bytes, name: str = "edge-rnn.toml") -> Config:
    """The same for bytes."""
    try:
        tree: dict[str, Any] = tomllib.loads(blob.decode("utf-8"))
    except (UnicodeDecodeError, tomllib.TOMLDecodeError, RecursionError) as error:
        raise UsageError(f"{name} is not TOML: {error}") from error
    try:
        return Config.model_validate(tree)
    except ValidationError as error:
        raise UsageError(f"{name}: " + "; ".join(sentences(error, Config))) from error


def _scheme(url: str) -> str:
    try:
        return urlsplit(url).scheme
    except ValueError as error:
        raise ValueError(f"is not a URL: {error}") from error
