"""What a running service lets others ask of it, from any thread. It must never wait for the step thread."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from .homeassistant import Facts

if TYPE_CHECKING:
    from .lane import Lane
    from .service import Service


class FrontDesk:
    """A commands.Desk."""

    def __init__(self, service: Service) -> None:
        self.reload_wanted = threading.Event()
        self._service = service

    @property
    def _lanes(self) -> list[Lane]:
        return [lane for unit in list(self._service.units.values()) for lane in unit.lanes]

    def pipelines(self) -> list[Facts]:
        """Those that run, with the labels they watch."""
        manifests = {lane.pipeline: lane.model.manifest for lane in self._lanes}
        return [Facts(name, one.title, tuple(one.detector)) for name, one in manifests.items()]

    def status(self) -> dict[str, Any]:
        """Everything known of it."""
        return self._service.status()

    def reset(self, pipeline: str) -> None:
        """The pipeline begins again from the zero state, before its next sample."""
        for lane in self._lanes:
            if lane.pipeline == pipeline:
                lane.reset_wanted = True
                lane.ring.tell()
        self._service.wake()

    def ask_for_reload(self) -> None:
        """Whoever runs the service reads the configuration again."""
        self.reload_wanted.set()

    def tell_scores(self) -> None:
        """Publish each pipeline's newest scores where a sink wants them; done now and then, not by the step thread."""
        wanting = [outlet for _, outlet in list(self._service.outlets.values()) if outlet.wants_scores]
        for lane in self._lanes:
            line, lane.score = lane.score, None
            lane.wants_score = bool(wanting)
            if wanting:
                lane.ring.tell()
            if line is not None:
                for outlet in wanting:
                    outlet.score(lane.pipeline, line)
