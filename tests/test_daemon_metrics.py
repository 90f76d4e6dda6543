"""What Prometheus scrapes is what the daemon counts; prometheus-client itself reads it back."""

import socket
import urllib.request

import numpy as np
import pytest
from daemon_rig import noise, write_config, write_model
from ports import free_port
from prometheus_client.parser import text_string_to_metric_families
from test_daemon_service import Tap
from waiting import until

from edge_rnn.daemon.config import parse_config, read_config
from edge_rnn.daemon.service import Service
from edge_rnn.errors import UsageError

PROMISED = {
    "edge_rnn_samples_total",
    "edge_rnn_samples_lost_total",
    "edge_rnn_gaps_total",
    "edge_rnn_step_seconds_count",
    "edge_rnn_end_to_end_seconds_count",
    "edge_rnn_events_total",
    "edge_rnn_source_up",
    "edge_rnn_source_reconnects_total",
    "edge_rnn_sink_queue",
    "edge_rnn_model_info",
    "edge_rnn_model_switches_total",
}


def scrape(port):
    """(name, labels) -> value."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=30) as answer:
        text = answer.read().decode()
    return {
        (one.name, tuple(sorted(one.labels.items()))): one.value
        for family in text_string_to_metric_families(text)
        for one in family.samples
    }


def refused(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0


@pytest.fixture
def service(tmp_path):
    port, tap = free_port(), Tap()
    model = write_model(tmp_path / "rig.ernn")
    config = write_config(
        tmp_path, source="udp://nowhere:1", model=model, sink=f'url = "unix://{tmp_path}/nobody"',
        service=f'metrics = "127.0.0.1:{port}"\nstop_s = 1.0\n',
    )  # fmt: skip
    made = Service(read_config(config), tap.open)
    made.start()
    made.tap, made.port, made.path = tap, port, config
    yield made
    made.stop()  # False: its only sink is away


def test_every_promised_number_is_there_and_true(service):
    before = scrape(service.port)
    assert before["edge_rnn_source_up", (("source", "s"),)] == 0
    x = noise(3000)
    service.tap.give(x[:2000], seq=np.arange(2000))
    service.tap.give(x[2000:], seq=np.arange(2500, 3500))
    assert until(lambda: service.status()["pipelines"]["p"]["samples"]["received"] == 3000)
    assert until(lambda: service.committer.flush(5))
    now, p = scrape(service.port), (("pipeline", "p"),)
    assert {name for name, _ in now} >= PROMISED
    assert now["edge_rnn_samples_total", p] == 3000
    assert now["edge_rnn_samples_lost_total", p] == 500
    assert now["edge_rnn_gaps_total", p] == 1
    assert now["edge_rnn_source_up", (("source", "s"),)] == 1
    told = sum(value for (name, _), value in now.items() if name == "edge_rnn_events_total")
    assert told == now["edge_rnn_sink_queue", (("sink", service.config.sink[0].name),)] > 10
    assert now["edge_rnn_end_to_end_seconds_count", ()] == told
    assert now["edge_rnn_step_seconds_count", p] == 3000
    assert 0 < now["edge_rnn_step_seconds_sum", p] < 5
    steps = [v for (name, labels), v in now.items() if name == "edge_rnn_step_seconds_bucket"]
    assert steps == sorted(steps), "cumulative"
    assert steps[-1] == 3000


def test_a_reload_moves_and_ends_the_endpoint(service):
    other = free_port()
    text = service.path.read_text()
    service.apply(parse_config(text.replace(str(service.port), str(other)).encode()))
    assert scrape(other)
    assert until(lambda: refused(service.port))
    service.apply(parse_config(text.replace(f'metrics = "127.0.0.1:{service.port}"', "").encode()))
    assert until(lambda: refused(other))


def test_an_address_that_is_taken_leaves_the_old_configuration_running(service):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        text = service.path.read_text().replace(str(service.port), str(taken.getsockname()[1]))
        with pytest.raises(UsageError, match="cannot listen on"):
            service.apply(parse_config(text.encode()))
    assert scrape(service.port)


@pytest.mark.parametrize("address", ["9108", "localhost:", "localhost:x", "localhost:99999", ":9108"])
def test_an_address_that_is_none_is_refused_with_its_key(tmp_path, address):
    text = write_config(tmp_path, source="x.csv", model="m.ernn", service=f'metrics = "{address}"\n').read_bytes()
    with pytest.raises(UsageError, match=r"service\.metrics"):
        parse_config(text)
