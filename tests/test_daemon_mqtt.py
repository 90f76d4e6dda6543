"""R7: a broker that is away or is killed loses nothing and doubles nothing at a consumer that keeps ids.

EDGE_RNN_OUTAGE_EVENTS sets how many are spooled (default 6,000; the full promise is 36,000).
"""

import json
import os
import threading
import time

import pytest
from test_daemon_store import events
from waiting import until

pytest.importorskip("paho.mqtt.client")
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion

from edge_rnn.daemon.committer import Committer
from edge_rnn.daemon.config import Sink
from edge_rnn.daemon.dedup import Dedup
from edge_rnn.daemon.mqtt import MqttDelivery
from edge_rnn.daemon.outlet import Outlet
from edge_rnn.daemon.records import Batch
from edge_rnn.daemon.store import Store

EVENTS = int(os.environ.get("EDGE_RNN_OUTAGE_EVENTS", "6000"))
pytestmark = pytest.mark.slow


class Consumer:
    """Subscribes with its own session, keeps ids; with `acknowledge` it says what is safe with it."""

    def __init__(self, port, acknowledge=False):
        self.seen, self.numbers, self.came, self.online = Dedup(), [], 0, []
        self.joined = threading.Event()
        self.client = Client(CallbackAPIVersion.VERSION2, client_id="consumer", clean_session=False)
        self.client.reconnect_delay_set(1, 1)
        self.acknowledge = acknowledge
        self.client.on_connect = lambda client, *a: client.subscribe("house/dev/#", 1)
        self.client.on_subscribe = lambda *a: self.joined.set()
        self.client.on_message = self.hear
        self.client.connect("127.0.0.1", port)
        self.client.loop_start()
        assert self.joined.wait(30)

    def hear(self, client, userdata, message):
        if message.topic.endswith("/status"):
            self.online.append(json.loads(message.payload)["online"])
        if not message.topic.endswith("/event"):
            return
        line = json.loads(message.payload)
        self.came += 1
        if self.seen.accept(line):
            self.numbers.append(line["i"])
        if self.acknowledge:
            client.publish("house/dev/ack", str(line["n"]), 1)

    def wait(self, count, seconds):
        until(lambda: len(self.numbers) >= count, seconds)
        return len(self.numbers)

    def close(self):
        self.client.disconnect()
        self.client.loop_stop()


class Sending:
    """A store, a committer and an MQTT outlet, without a daemon around them."""

    def __init__(self, folder, port, **keys):
        self.store = Store(folder / "state")
        self.store.keep_for({"m": 1 << 40})
        self.committer = Committer(self.store, lambda batch: self.outlet.wake(), most_held=1 << 20)
        sink = Sink(url=f"mqtt://127.0.0.1:{port}/house", **keys)
        self.outlet = Outlet("m", MqttDelivery(sink, "dev"), self.store, self.committer, sink.window)
        self.committer.start()
        self.outlet.start()

    def tell(self, first, count):
        for n in range(first, first + count, 50):
            self.committer.submit(Batch(events(n, min(50, first + count - n))))
        assert self.committer.flush(30)

    def close(self):
        self.outlet.stop()
        self.outlet.join(5)
        self.committer.stop(5)
        self.store.close()


def test_r7_an_outage_is_spooled_and_drained_in_order(tmp_path, broker, capsys):
    consumer, sending = Consumer(broker.port), Sending(tmp_path, broker.port)
    sending.tell(0, 100)
    assert consumer.wait(100, 60) == 100
    assert until(lambda: consumer.online[-1:] == [True]), "the status says that the device is there"
    consumer.joined.clear()
    broker.stop()
    consumer.online.clear()
    sending.tell(100, EVENTS)
    broker.start()
    assert consumer.joined.wait(30)
    began = time.monotonic()
    before = len(consumer.numbers)
    assert consumer.wait(100 + EVENTS, 120) == 100 + EVENTS
    rate = (100 + EVENTS - before) / (time.monotonic() - began)
    assert sending.outlet.drain(60)
    with capsys.disabled():
        print(f"\nR7: {EVENTS} spooled, 0 lost, {consumer.came - len(consumer.numbers)} came twice, {rate:.0f}/s")
    assert consumer.numbers == list(range(100 + EVENTS))
    assert consumer.seen.lost == 0
    assert rate > 300  # promised: 1,000/s on an idle machine
    assert until(lambda: consumer.online[-1:] == [True]), "the status says that the device is there again"
    sending.close()
    assert until(lambda: consumer.online[-1:] == [False]), "the status says that the device left"
    consumer.close()


def lost_when_the_broker_is_killed(folder, broker, delivery):
    """Events that never reach a consumer that is away while the broker takes them and is killed."""
    consumer = Consumer(broker.port, acknowledge=delivery == "app-ack")
    sending = Sending(folder, broker.port, delivery=delivery, ack_timeout_s=1.0)
    sending.tell(0, 50)
    assert consumer.wait(50, 60) == 50
    consumer.client.disconnect()  # its session stays at the broker, which queues for it
    consumer.client.loop_stop()
    sending.tell(50, 200)
    if delivery == "puback":
        assert sending.outlet.drain(30), "the broker has them all"
    else:
        assert until(lambda: sending.outlet.error), "the broker has a window full, for which nobody answers"
    broker.kill()  # ... and forgets
    broker.start()
    consumer.joined.clear()
    consumer.client.reconnect()
    consumer.client.loop_start()
    assert consumer.joined.wait(30)
    consumer.wait(250, 60 if delivery == "app-ack" else 3)
    numbers = consumer.numbers
    sending.close()
    consumer.close()
    assert numbers == sorted(set(numbers))
    return 250 - len(numbers)


def test_r7_app_ack_survives_a_broker_that_forgets(tmp_path, broker):
    assert lost_when_the_broker_is_killed(tmp_path, broker, "app-ack") == 0


def test_r7_puback_alone_does_not(tmp_path, broker):
    """The negative control, and why app-ack is there."""
    assert lost_when_the_broker_is_killed(tmp_path, broker, "puback") > 0
