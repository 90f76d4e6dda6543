"""A model pushed to a Python board over a pty, whole and true or not at all; and its image against the C struct."""

from __future__ import annotations

import shutil
import subprocess
from contextlib import contextmanager

import numpy as np
import pytest
from edge_rnn.export.c_image import image, shape_of
from edge_rnn.export.firmware_folder import write_project
from edge_rnn.export.firmware_project import project
from edge_rnn.firmware_bridge.board import Board
from edge_rnn.firmware_bridge.port import Port
from edge_rnn.firmware_bridge.push import Push
from edge_rnn.firmware_bridge.simulator import Mischief, Simulator
from lossy_wire import Mixer, inference_info
from simulated import running

from edge_rnn.engine import State
from edge_rnn.engines.integer import IntegerEngine
from edge_rnn.errors import LinkError, UsageError

from .firmware_models import bundle_of
from .float_models import float_graph
from .int8_models import random_graph, random_layers

OLD, NEW = 0x11111111, 0x22222222
IMAGE = np.random.default_rng(0).bytes(6000)


class Flash:
    """A store that outlives its board's reboots."""

    def __init__(self, takes=6000):
        self.takes, self.running, self.data, self.wrong = takes, OLD, bytearray(), 0

    def begin(self, size):
        return size == self.takes

    def write(self, offset, data):
        self.data[offset:] = data

    def apply(self, size):
        assert self.running == OLD
        self.running = NEW if bytes(self.data) == IMAGE else self.wrong
        return True


@contextmanager
def board_with(flash, path, options=1, **mischief):
    """A board that begins a new session when a model was applied, as store.c has it."""

    def make():
        info = inference_info(model_hash=flash.running, options=options)
        return Board(info, slots=0, answers=4, model=Mixer(), store=flash)

    class Restarting(Simulator):
        def serve(self, timeout_s):
            super().serve(timeout_s)
            if self._board.info.model_hash != flash.running:
                self.reboot()

    with running(Restarting(make, iter(()), 0.05, path, Mischief(**mischief))) as simulator:
        yield simulator


def test_a_model_is_pushed_through_loss_and_reboots_and_only_then_called_in_use(tmp_path):
    flash, held = Flash(), []
    with board_with(flash, tmp_path / "b", drop=0.02, corrupt=0.02, duplicate=0.02, seed=3) as board:

        def reboot_in_the_middle(bytes_held):
            held.append(bytes_held)
            if len(held) == 50:
                board.reboot()

        port = Port(f"serial://{tmp_path / 'b'}")
        pushed = Push(port, IMAGE, NEW, patience_s=30, progress=reboot_in_the_middle).run()
        assert flash.running == NEW
        assert pushed.reboots == 1
        assert pushed.sent > len(IMAGE), "it began anew"
        again = Push(port, IMAGE, NEW).run()
        port.close()
    assert again.sent == 0, "the board had it"


@pytest.mark.parametrize(
    ("flash", "options", "says"),
    [(Flash(), 0, "built with --store"), (Flash(takes=1), 1, "refused the model: it has other layers")],
)
def test_a_board_that_takes_no_such_model_is_told_apart(flash, options, says, tmp_path):
    with board_with(flash, tmp_path / "b", options):
        port = Port(f"serial://{tmp_path / 'b'}")
        with pytest.raises(LinkError, match=says):
            Push(port, IMAGE, NEW).run()
        port.close()
    assert flash.running == OLD


def test_a_board_that_comes_back_with_the_old_model_is_given_up(tmp_path):
    flash = Flash()
    flash.apply = lambda size: True
    with board_with(flash, tmp_path / "b") as board:
        port = Port(f"serial://{tmp_path / 'b'}")
        push = Push(port, IMAGE, NEW, progress=lambda held: board.reboot() if held == len(IMAGE) else None)
        with pytest.raises(LinkError, match="after 3 pushes: is its flash worn out"):
            push.run()
        port.close()


@pytest.mark.skipif(shutil.which("cc") is None, reason="cc is not installed: the C cannot be compiled")
@pytest.mark.parametrize("kind", ["gru", "lstm"])
def test_an_image_is_the_structs_bytes_and_steps_as_the_model_it_came_from(kind, tmp_path):
    """The step is built for one model and given another's image."""
    layers = random_layers(np.random.default_rng(1), ["relu", kind], 3, [5, 6], 3)
    built, pushed = (bundle_of(random_graph(np.random.default_rng(seed), layers)) for seed in (1, 2))
    write_project(project(built, "microbit", store=True), tmp_path)
    blobs = image(built.graph), image(pushed.graph)
    (tmp_path / "built.bin").write_bytes(blobs[0])
    (tmp_path / "pushed.bin").write_bytes(blobs[1])
    (tmp_path / "try.c").write_text("""#include <stdio.h>
#include <string.h>
#include "model.h"
static model_weights given;
static model_state state;
int main(void) {
    FILE *file = fopen("built.bin", "rb");
    if (fread(&given, 1, sizeof given, file) != sizeof given || fgetc(file) != EOF) return 1;
    if (memcmp(&given, &model_built_in, sizeof given)) return 2;
    file = fopen("pushed.bin", "rb");
    if (fread(&given, 1, sizeof given, file) != sizeof given || given.shape != MODEL_SHAPE) return 3;
    for (int t = 0; t < 100; t++) {
        int16_t xq[MODEL_INPUTS];
        int32_t y[MODEL_OUTPUTS];
        for (int j = 0; j < MODEL_INPUTS; j++) xq[j] = (int16_t)((t * 7919 + j * 104729) % 65536 - 32768);
        model_step(&given, &state, xq, y);
        fwrite(y, sizeof y, 1, stdout);
    }
    return 0;
}
""")
    flags = [
        "-std=c99",
        "-O1",
        "-Wall",
        "-Wextra",
        "-Werror",
        "-fsanitize=address,undefined",
        "-fno-sanitize-recover=all",
    ]
    sources = ["try.c", "model.c", *(f"kernel/{p.name}" for p in sorted((tmp_path / "kernel").glob("*.c")))]
    subprocess.run(["cc", *flags, *sources, "-o", "try"], cwd=tmp_path, check=True)
    out = subprocess.run(["./try"], cwd=tmp_path, check=True, capture_output=True).stdout
    engine, state, want = IntegerEngine(pushed.graph), State(pushed.graph.states), np.zeros((100, 3), np.int32)
    for t in range(100):
        xq = np.array([[(t * 7919 + j * 104729) % 65536 - 32768 for j in range(3)]], np.int16)
        engine.step_int(xq, state, want[t : t + 1])
    assert np.array_equal(np.frombuffer(out, "<i4").reshape(100, 3), want)


def test_a_shape_tells_what_cannot_be_exchanged():
    rng = np.random.default_rng(0)
    shapes = [random_layers(rng, [kind], 3, [width], 3) for kind in ("gru", "lstm") for width in (5, 6)]
    assert len({shape_of(random_graph(rng, layers)) for layers in shapes}) == 4
    assert shape_of(random_graph(rng, shapes[0])) == shape_of(random_graph(rng, shapes[0]))
    with pytest.raises(UsageError, match="int8"):
        image(float_graph("gru"))
