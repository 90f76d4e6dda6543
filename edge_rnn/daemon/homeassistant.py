"""What Home Assistant's MQTT discovery wants to know: each label of each pipeline is a binary sensor.

Facts in, topics and payloads out; no I/O here. Home Assistant ignores a template that renders to nothing, so a sensor
only hears of its own label.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Facts:
    """A pipeline: its name, its model's title, and the labels that it watches."""

    pipeline: str
    model: str
    labels: tuple[str, ...]


def discovery(prefix: str, base: str, device: str, pipelines: list[Facts]) -> dict[str, str]:
    """Topic -> payload, to be published retained; `base` is where this device's topics begin."""
    found = {}
    for one in pipelines:
        for label in one.labels:
            name = f"{_plain(one.pipeline)}_{_plain(label)}"
            about = {
                "name": f"{one.pipeline} {label}",
                "unique_id": f"edge_rnn_{_plain(device)}_{name}",
                "state_topic": f"{base}/{one.pipeline}/event",
                "value_template": _template(label),
                "availability_topic": f"{base}/status",
                "availability_template": "{{ 'online' if value_json.online else 'offline' }}",
                "device": {
                    "identifiers": [f"edge_rnn_{_plain(device)}"],
                    "name": device,
                    "manufacturer": "edge-rnn",
                    "model": one.model,
                },
            }
            found[f"{prefix}/binary_sensor/{_plain(device)}/{name}/config"] = json.dumps(about)
    return found


def _template(label: str) -> str:
    mine = f"value_json.label | default('') == {json.dumps(label)}"
    return f"{{% if {mine} %}}{{{{ 'ON' if value_json.type == 'start' else 'OFF' }}}}{{% endif %}}"


def _plain(name: str) -> str:
    """A name of the letters that a topic's part may have; two names never become the same."""
    plain = re.sub(r"[^A-Za-z0-9_-]", "_", name)
    return plain if plain == name else f"{plain}_{hashlib.blake2b(name.encode(), digest_size=3).hexdigest()}"
