"""Events to an MQTT broker by paho: QoS 1, in order, at most `window` under way; the store is the queue, not paho.

    mqtt://[USER:PASSWORD@]HOST[:PORT]/PREFIX
    PREFIX/DEVICE/PIPELINE/event     one event a message; PIPELINE is _ for what concerns them all
    PREFIX/DEVICE/status             retained: {"online":true}, and by last will false
    PREFIX/DEVICE/ack                app-ack: the consumer publishes the `n` of the last event that is safe with it
    PREFIX/DEVICE/PIPELINE/score     `scores`: now and then the newest class probabilities, QoS 0
    PREFIX/DEVICE/cmd/VERB           `commands`: what commands.py knows; the answer comes to PREFIX/DEVICE/answer
    DISCOVERY/binary_sensor/...      `discovery`: Home Assistant's, retained (homeassistant.py)

A PUBACK is custody, not durability: a broker that is killed forgets what it acknowledged. With app-ack an event is
sent again until the consumer itself has it.
"""

from __future__ import annotations

import hashlib
import json
import threading
import time
from collections import deque
from typing import Any
from urllib.parse import unquote, urlsplit

from ..errors import MissingExtra, UsageError
from . import config
from .commands import Desk, answer
from .deliveries import numbered
from .homeassistant import discovery
from .outlet import SinkDown
from .store import Waiting

CONNECT_SECONDS = 5.0
KEEPALIVE_SECONDS = 15
PORT = 1883


class MqttDelivery:
    """One connection at a time; the outlet opens another when it breaks."""

    def __init__(self, sink: config.Sink, device: str, desk: Desk | None = None) -> None:
        parts = urlsplit(sink.url)
        prefix = unquote(parts.path.strip("/")) or "edge-rnn"
        if not parts.hostname or any(wild in prefix for wild in "+#"):
            raise UsageError(f"{sink.name} names no host or has + or #: expected mqtt://HOST[:PORT]/PREFIX")
        self._host, self._port = parts.hostname, parts.port or PORT
        self._login = (unquote(parts.username or ""), unquote(parts.password or ""))
        self._base = f"{prefix}/{device}"
        other = hashlib.blake2b(sink.name.encode(), digest_size=3).hexdigest()  # two sinks may share a broker
        self._name = f"edge-rnn-{device}-{other}"
        self._device = device
        self._desk = desk
        self._discovery, self._commands = sink.discovery, sink.commands
        self.wants_scores = sink.scores
        self._app_ack, self._timeout_s = sink.delivery == "app-ack", sink.ack_timeout_s
        self._window = sink.window
        self._client: Any = None
        self._changed = threading.Condition()
        self._ready = False
        self._refusal: str | None = None
        self._sent: deque[tuple[int, int]] = deque()  # message id and number of what is under way, in order
        self._given: set[int] = set()  # message ids that the broker has
        self._others: set[int] = set()  # ... of what is under way and no event
        self._done = 0
        self._acked = 0

    def open(self) -> None:
        """Connect and wait for the broker's answer."""
        try:
            from paho.mqtt.client import Client
            from paho.mqtt.enums import CallbackAPIVersion
        except ModuleNotFoundError as error:
            raise MissingExtra("paho-mqtt", "daemon", "an mqtt:// sink") from error
        client = Client(CallbackAPIVersion.VERSION2, client_id=self._name, reconnect_on_failure=False)
        client.max_inflight_messages_set(self._window)
        client.connect_timeout = CONNECT_SECONDS
        if self._login[0]:
            client.username_pw_set(*self._login)
        client.will_set(f"{self._base}/status", '{"online":false}', 1, True)
        client.on_connect, client.on_disconnect = self._on_connect, self._on_disconnect
        client.on_publish, client.on_message = self._on_publish, self._on_message
        self._ready, self._refusal, self._given, self._acked = False, None, set(), 0
        self._sent, self._others, self._done = deque(), set(), 0
        self._client = client
        try:
            client.connect(self._host, self._port, KEEPALIVE_SECONDS)
        except OSError as error:
            raise SinkDown(f"cannot connect to {self._host}:{self._port}: {error.strerror or error}") from error
        client.loop_start()
        with self._changed:
            self._changed.wait_for(lambda: self._ready or self._refusal is not None, CONNECT_SECONDS)
            if not self._ready:
                raise SinkDown(f"{self._host} refused the connection: {self._refusal or 'no answer'}")
        self._say(f"{self._base}/status", '{"online":true}', 1, True)
        self.announce()

    def announce(self) -> None:
        """Tell Home Assistant, where that is wanted, which pipelines there are."""
        if self._discovery is not None and self._desk is not None:
            for topic, about in discovery(self._discovery, self._base, self._device, self._desk.pipelines()).items():
                self._say(topic, about, 1, True)

    def score(self, pipeline: str, line: str) -> None:
        """Publish the newest probabilities; what nobody takes is lost."""
        self._say(f"{self._base}/{pipeline}/score", line, 0, False)

    def deliver(self, lines: list[Waiting]) -> int:
        """Publish what is not under way yet, then wait until half of the lines arrived: the window stays full."""
        deadline = time.monotonic() + self._timeout_s
        for line in lines:
            if not self._sent or line.n > self._sent[-1][1]:
                pipeline = json.loads(line.line).get("pipeline", "_")
                info = self._client.publish(f"{self._base}/{pipeline}/event", numbered(line), 1)
                self._sent.append((info.mid, line.n))
        enough = lines[len(lines) // 2].n
        with self._changed:
            self._changed.wait_for(
                lambda: self._refusal is not None or self._upto() >= enough, max(deadline - time.monotonic(), 0.0)
            )
            upto = min(self._upto(), lines[-1].n)
            if self._refusal is not None and upto < lines[0].n:
                raise SinkDown(f"{self._host} is gone: {self._refusal}")
            while self._sent and self._sent[0][1] <= upto:
                mid, _ = self._sent.popleft()
                self._given.discard(mid)
            self._done = upto
            return upto

    def close(self) -> None:
        """Say goodbye; the last will is for those who cannot."""
        client, self._client = self._client, None
        if client is None:
            return
        if self._ready:
            client.publish(f"{self._base}/status", '{"online":false}', 1, True)
        client.disconnect()
        client.loop_stop()
        with self._changed:
            self._refusal = self._refusal or "closed"
            self._changed.notify_all()

    def _upto(self) -> int:
        """The number up to which all arrived: an acknowledgement out of its turn waits for those before."""
        upto = self._done
        if self._app_ack:
            return max(upto, min(self._acked, self._sent[-1][1] if self._sent else 0))
        for mid, n in self._sent:
            if mid not in self._given:
                break
            upto = n
        return upto

    def _on_connect(self, client: Any, userdata: Any, flags: Any, reason: Any, properties: Any) -> None:
        with self._changed:
            if reason.is_failure:
                self._refusal = str(reason)
            else:
                self._ready = True
                if self._app_ack:
                    client.subscribe(f"{self._base}/ack", 1)
                if self._commands:
                    client.subscribe(f"{self._base}/cmd/+", 1)
            self._changed.notify_all()

    def _on_disconnect(self, client: Any, userdata: Any, flags: Any, reason: Any, properties: Any) -> None:
        with self._changed:
            if client is self._client:
                self._refusal = str(reason)
            self._changed.notify_all()

    def _on_publish(self, client: Any, userdata: Any, mid: int, reason: Any, properties: Any) -> None:
        with self._changed:
            if mid in self._others:
                self._others.discard(mid)
                return
            self._given.add(mid)
            self._changed.notify_all()

    def _on_message(self, client: Any, userdata: Any, message: Any) -> None:
        text = message.payload
        if message.topic.startswith(f"{self._base}/cmd/"):
            self._obey(message.topic.rpartition("/")[2], text, message.retain)
            return
        if len(text) <= 20 and text.isdigit():
            with self._changed:
                self._acked = max(self._acked, int(text))
                self._changed.notify_all()

    def _obey(self, verb: str, payload: bytes, retained: bool) -> None:
        if self._desk is not None and not retained:  # one that is retained would be obeyed at every connection
            self._say(f"{self._base}/answer", json.dumps(answer(self._desk, verb, payload)), 1, False)

    def _say(self, topic: str, text: str, qos: int, retain: bool) -> None:
        """Publish what is no event: its acknowledgement is none of an event's."""
        client = self._client
        info = None if client is None else client.publish(topic, text, qos, retain)
        if info is None or info.rc:
            return
        with self._changed:
            if info.mid in self._given:
                self._given.discard(info.mid)
            else:
                self._others.add(info.mid)
