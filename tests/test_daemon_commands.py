"""Commands, scores and Home Assistant's discovery over MQTT."""

import json
import threading

import numpy as np
import pytest
from daemon_rig import noise, write_config, write_model
from test_daemon_service import Tap
from waiting import until

from edge_rnn.daemon.commands import answer
from edge_rnn.daemon.config import parse_config, read_config
from edge_rnn.daemon.homeassistant import Facts, discovery
from edge_rnn.daemon.service import Service
from edge_rnn.errors import UsageError

LABELS = ("k1", "k2", "k3")


class Desk:
    def __init__(self):
        self.done = []

    def pipelines(self):
        return [Facts("gesture", "rig@1", LABELS), Facts("other", "rig@1", ("k1",))]

    def status(self):
        return {"device": "dev"}

    def reset(self, pipeline):
        self.done.append(pipeline)

    def ask_for_reload(self):
        self.done.append("reload")


def test_commands_do_what_they_say():
    desk = Desk()
    assert answer(desk, "status", b"") == {"verb": "status", "ok": True, "status": {"device": "dev"}}
    assert answer(desk, "reset", b" gesture\n")["pipelines"] == ["gesture"]
    assert answer(desk, "reset", b"")["pipelines"] == ["gesture", "other"]
    assert answer(desk, "reload", b"x")["ok"]
    assert desk.done == ["gesture", "gesture", "other", "reload"]


def test_a_wrong_command_is_answered_with_a_suggestion_and_does_nothing():
    desk = Desk()
    assert answer(desk, "rest", b"")["error"] == "'rest' is no command, did you mean \"reset\"?"
    assert 'did you mean "gesture"?' in answer(desk, "reset", b"gestur")["error"]
    assert not answer(desk, "reset", bytes(range(256)) * 1000)["ok"]
    assert len(answer(desk, "x" * 100_000, b"")["error"]) < 200
    assert desk.done == []


def test_home_assistant_renders_on_at_the_start_off_at_the_end_and_nothing_for_others():
    jinja2 = pytest.importorskip("jinja2")
    label = 'a "b" c'
    (topic, text), *_ = discovery("homeassistant", "house/dev", "dev", [Facts("gesture", "rig@1", (label,))]).items()
    about = json.loads(text)
    assert topic.startswith("homeassistant/binary_sensor/dev/gesture_a__b__c_")
    assert about["state_topic"] == "house/dev/gesture/event"

    def render(template, payload):
        return jinja2.Template(template).render(value_json=payload)

    assert render(about["value_template"], {"type": "start", "label": label}) == "ON"
    assert render(about["value_template"], {"type": "event", "label": label}) == "OFF"
    assert render(about["value_template"], {"type": "start", "label": "other"}) == ""
    assert render(about["value_template"], {"type": "gap"}) == ""
    assert [render(about["availability_template"], {"online": on}) for on in (True, False)] == ["online", "offline"]


def test_names_that_look_alike_stay_apart():
    facts = [Facts("p", "m", ("a.b", "a_b", "a b"))]
    assert len(discovery("homeassistant", "b", "d", facts)) == 3


@pytest.mark.parametrize("key", ["scores = true", "commands = true", 'discovery = "homeassistant"'])
def test_what_only_mqtt_can_is_refused_elsewhere(tmp_path, key):
    text = write_config(tmp_path, source="x.csv", model="m", sink=f'url = "out.jsonl"\n{key}').read_bytes()
    with pytest.raises(UsageError, match="is for mqtt:// sinks"):
        parse_config(text)


@pytest.mark.slow
def test_over_a_real_broker(tmp_path, broker):
    pytest.importorskip("paho.mqtt.client")
    from paho.mqtt.client import Client
    from paho.mqtt.enums import CallbackAPIVersion

    heard, joined = {}, threading.Event()
    client = Client(CallbackAPIVersion.VERSION2)
    client.on_connect = lambda c, *_: c.subscribe([("house/#", 1), ("homeassistant/#", 1)])
    client.on_subscribe = lambda *_: joined.set()
    client.on_message = lambda c, u, m: heard.setdefault(m.topic, []).append(m.payload)
    client.connect("127.0.0.1", broker.port)
    client.loop_start()
    assert joined.wait(10)
    tap = Tap()
    sink = f'url = "mqtt://127.0.0.1:{broker.port}/house"\nscores = true\ncommands = true\ndiscovery = "homeassistant"'
    model = write_model(tmp_path / "rig.ernn")
    config = write_config(tmp_path, '[device]\nname = "dev"\n', source="udp://nowhere:1", model=model, sink=sink)
    # a command that somebody left retained must not be obeyed
    client.publish("house/dev/cmd/reload", "", 1, True).wait_for_publish(5)
    service = Service(read_config(config), tap.open)
    service.start()
    configs = [f"homeassistant/binary_sensor/dev/p_{label}/config" for label in LABELS]
    assert until(lambda: all(topic in heard for topic in configs))
    assert until(lambda: b'{"online":true}' in heard.get("house/dev/status", []))
    x = noise(4000)
    for at in range(0, 4000, 50):
        tap.give(x[at : at + 50], seq=np.arange(at, at + 50))
        service.desk.tell_scores()
        assert until(lambda at=at: service.units["s"].lanes[0].stream.counters.received == at + 50)
    assert until(lambda: "house/dev/p/score" in heard)
    score = json.loads(heard["house/dev/p/score"][-1])
    assert score["type"] == "score"
    assert abs(sum(score["scores"].values()) - 1) < 1e-3
    assert service.drain(10)
    told = service.units["s"].lanes[0].events.total()
    assert until(lambda: len(heard.get("house/dev/p/event", [])) == told > 30), "scores took no event's place"
    for verb, payload in (("status", ""), ("reset", "p"), ("rset", "")):
        client.publish(f"house/dev/cmd/{verb}", payload, 1)
    assert until(lambda: len(heard.get("house/dev/answer", [])) == 3)
    answers = {one["verb"]: one for one in map(json.loads, heard["house/dev/answer"])}
    assert answers["status"]["status"]["device"] == "dev"
    assert answers["reset"]["ok"]
    assert not answers["rset"]["ok"]
    assert not service.desk.reload_wanted.is_set()
    tap.give(x[:4], seq=np.arange(4000, 4004))
    assert until(lambda: service.units["s"].lanes[0].stream.counters.received == 4004)
    assert service.units["s"].lanes[0].stream._epoch == 1
    assert service.stop()
    client.disconnect()
    client.loop_stop()
