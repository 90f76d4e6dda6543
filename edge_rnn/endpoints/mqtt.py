"""MQTT by paho: a topic's messages as bytes, and lines to a topic. The package is in the extra `mqtt`.

    mqtt://[USER:PASSWORD@]HOST[:PORT]/TOPIC       mqtts:// for TLS

The queue of messages that nobody has read yet is bounded; when it is full the oldest go, and are counted.
"""

from __future__ import annotations

import queue
from collections.abc import Iterable, Iterator
from typing import Any
from urllib.parse import SplitResult, unquote, urlsplit

from ..errors import MissingExtra, SinkError, SourceError, UsageError

WAITING = 10_000
"""Messages that may wait to be read."""
ANSWER_SECONDS = 10.0


def _client(url: str, parts: SplitResult) -> tuple[Any, str]:
    """A paho client that is not connected yet, and the topic."""
    try:
        from paho.mqtt.client import Client
        from paho.mqtt.enums import CallbackAPIVersion
    except ImportError as error:
        raise MissingExtra("paho-mqtt", "mqtt", "an mqtt:// URL") from error
    topic = unquote(url.partition("://")[2].partition("/")[2])  # whole: a topic may hold # and ?
    if not parts.hostname or not topic:
        raise UsageError(f"{url!r} names no host or topic: expected mqtt://HOST[:PORT]/TOPIC")
    client = Client(CallbackAPIVersion.VERSION2)
    if parts.username:
        client.username_pw_set(unquote(parts.username), unquote(parts.password or "") or None)
    if parts.scheme == "mqtts":
        client.tls_set()
    return client, topic


def _connect(client: Any, url: str, parts: SplitResult) -> None:
    try:
        client.connect(parts.hostname, parts.port or (8883 if parts.scheme == "mqtts" else 1883))
    except OSError as error:
        raise SourceError(f"cannot connect to {parts.scheme}://{parts.hostname}: {error.strerror or error}") from error
    client.loop_start()


class Messages:
    """A topic's messages as blocks of whole lines, for ever; paho connects again when the broker went away."""

    def __init__(self, url: str) -> None:
        self.dropped = 0
        self._url, self._parts = url, urlsplit(url)
        self._client, self._topic = _client(url, self._parts)
        self._waiting: queue.Queue[bytes | SourceError] = queue.Queue()
        self._client.on_connect = self._on_connect
        self._client.on_message = self._on_message

    def __iter__(self) -> Iterator[bytes]:
        _connect(self._client, self._url, self._parts)
        try:
            while True:
                block = self._waiting.get()
                if isinstance(block, SourceError):
                    raise block
                yield block if block.endswith(b"\n") else block + b"\n"
        finally:
            self._client.disconnect()
            self._client.loop_stop()

    def _on_connect(self, client: Any, userdata: Any, flags: Any, reason: Any, properties: Any) -> None:
        if reason.is_failure:
            self._waiting.put(SourceError(f"the broker of {self._parts.hostname} refuses us: {reason}"))
        else:
            client.subscribe(self._topic, qos=1)

    def _on_message(self, client: Any, userdata: Any, message: Any) -> None:
        if self._waiting.qsize() >= WAITING:
            self._waiting.get_nowait()
            self.dropped += 1
        self._waiting.put(message.payload)


class MqttSink:
    """One message a line, QoS 1; `write` returns when the broker has taken custody."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._client, self._topic = _client(url, parts)
        if any(wild in self._topic for wild in "+#"):
            raise UsageError(f"{url!r}: a topic to publish to has no + and no #")
        _connect(self._client, url, parts)

    def write(self, lines: Iterable[str]) -> None:
        """Publish each line; raises SinkError when the broker does not answer in time."""
        sent = [self._client.publish(self._topic, line, qos=1) for line in lines]
        for message in sent:
            try:
                message.wait_for_publish(ANSWER_SECONDS)
            except (ValueError, RuntimeError) as error:
                raise SinkError(f"a line could not be published to {self._topic}: {error}") from error
            if not message.is_published():
                raise SinkError(f"the broker took nothing for {ANSWER_SECONDS:g} s: is it there?")

    def close(self) -> None:
        """Say goodbye."""
        self._client.disconnect()
        self._client.loop_stop()
