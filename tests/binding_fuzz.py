"""A program: the native binding's calls with arguments of unknown origin, some of them kept from valid models.

Each is refused with one of Python's errors or runs; the process must stay alive. By hand also with an extension built
under AddressSanitizer. usage: python binding_fuzz.py SEED COUNT
"""

from __future__ import annotations

import socket
import sys

import numpy as np
from float_models import RIVALS, STACKS, float_graph
from int8_models import KINDS, random_graph, random_layers

from edge_rnn.daemon.forms import CSV, FRAMES
from edge_rnn.engine import State
from edge_rnn.engines.native import _extension, _layer, variants
from edge_rnn.reach import reach

REFUSED = (ValueError, TypeError, BufferError, OverflowError)
ODD = [None, 7, b"abc", [1.0], np.float32(1), np.zeros(0, np.float32), np.zeros((), np.float32), np.zeros(3, complex)]


def valid(rng):
    """Arguments of Kernel, and the graph they are of."""
    if rng.random() < 0.5:
        graph = float_graph(str(rng.choice([*STACKS, *RIVALS])))
    else:
        kinds = [str(kind) for kind in rng.choice(KINDS, rng.integers(0, 3))]
        graph = random_graph(rng, random_layers(rng, kinds, 3, [9] * len(kinds), 4))
    edge = ("sx",) if graph.precision == "int8" else ("mean", "std")
    layers = [_layer(graph, index, layer) for index, layer in enumerate(graph.layers)]
    ends = [*(graph.arrays[name] for name in edge), np.array([reach(graph)], np.float32)]
    return graph, [graph.precision, layers, ends, str(rng.choice(variants()))]


def odd_array(rng, array):
    """Another dtype, size, order or shape, another number in it, or none."""
    choice = rng.integers(6)
    if choice == 0 or not isinstance(array, np.ndarray):
        return ODD[rng.integers(len(ODD))]
    if choice == 1:
        with np.errstate(invalid="ignore"):
            return np.real(array).astype(str(rng.choice(["f4", "f8", "i1", "i2", "i4", "i8", ">f4", ">i4", "u4"])))
    if choice == 2:
        return np.resize(array, max(0, array.size + int(rng.integers(-3, 4))))
    if choice == 3:
        return np.repeat(array, 2)[::2]
    if choice == 4:
        return array.reshape(-1)[: rng.integers(array.size + 1)]
    raw = bytearray(array.tobytes())
    if raw:
        raw[rng.integers(len(raw))] = rng.integers(256)
    return np.frombuffer(bytes(raw), array.dtype).reshape(array.shape)


def spoil(rng, arguments):
    """One thing of Kernel's arguments becomes another."""
    _, layers, ends, _ = arguments
    if not layers:
        return
    at = rng.integers(len(layers))
    *words, arrays = layers[at]
    choice = rng.integers(7)
    if choice < 2:
        words[rng.integers(len(words))] = int(
            rng.choice([-1, 0, 1, 2, 3, 5, 9, 64, 65, 255, 256, 4096, 4097, 2**31 - 1, 2**40])
        )
    elif choice == 2 and arrays:
        number = rng.integers(len(arrays))
        arrays = (*arrays[:number], odd_array(rng, arrays[number]), *arrays[number + 1 :])
    elif choice == 3:
        arrays = arrays[:-1] if rng.random() < 0.5 else (*arrays, *arrays[:1])
    elif choice == 4:
        number = rng.integers(len(ends))
        ends[number] = odd_array(rng, ends[number])
    elif choice == 5:
        arguments[0] = str(rng.choice(["int8", "float32", ""]))
    layers[at] = (*words, arrays)
    if choice == 6:
        arguments[1] = layers[at:] if rng.random() < 0.5 else layers * int(rng.integers(0, 40))


def use(rng, graph, kernel) -> None:
    """Calls of a kernel that was made, their arguments valid or spoiled."""
    n = int(rng.integers(1, 20))
    state = State(graph.states, n)
    x = rng.normal(0, 1, (n, graph.inputs)).astype(np.float32)
    exact = graph.precision == "int8"
    calls = {
        "group": [x, state.arrays, np.zeros((n, graph.outputs), np.float32)],
        "run": [x, State(graph.states).arrays, np.zeros((n, graph.outputs), np.float32)],
        "step_int": [x.astype(np.int16), state.arrays, np.zeros((n, graph.outputs), np.int32)],
        "bind": [State(graph.states).arrays, np.zeros(graph.outputs, np.float32), lambda sample: ODD[2]],
    }
    for name, given in calls.items():
        if rng.random() < 0.5:
            number = rng.integers(len(given))
            old = given[number]
            if isinstance(old, tuple):
                given[number] = tuple(odd_array(rng, a) for a in old) if rng.random() < 0.7 else old[1:]
            elif isinstance(old, np.ndarray):
                given[number] = odd_array(rng, old)
        try:
            made = getattr(kernel, name)(*given)
            if name == "bind":
                made.step(x[0] if rng.random() < 0.5 else odd_array(rng, x[0]))
        except REFUSED:
            continue
        if name == "step_int" and not exact:
            raise AssertionError("a float32 model made integer steps")


TEXTS = [b"1,2,3\n", b"4.5,-6,nan\n", b"7,8", b",9\n", b"1e999,0,1\n", b"\0", b"0" * 500, b"x\n", b"\r\n", b"\xff\x40"]
TEXT_SHARES = [0.5, 0.2, 0.06, 0.06, *[0.03] * 6]


def receive(rng) -> int:
    """Bytes of unknown origin from sockets to desks that are, too; how many samples came."""
    form = (FRAMES, CSV)[rng.integers(2)]
    pairs = [socket.socketpair() for _ in range(rng.integers(1, 4))]
    desks = np.frombuffer(rng.bytes(len(pairs) * form.desk.itemsize), form.desk).copy()
    desks["fd"] = [ear.fileno() for ear, _ in pairs]
    if form is CSV:
        desks["kept"] = rng.choice(
            [0, 0, 0, 5, 488, 489, 2**32 - 1], len(pairs), p=[0.3, 0.2, 0.2, 0.1, 0.1, 0.05, 0.05]
        )
    room = int(rng.integers(0, 12))
    given = [desks, np.zeros((room, 3), np.float32), np.zeros(room, np.int64), np.zeros(len(pairs), np.int64)]
    if rng.random() < 0.2:
        number = rng.integers(4)
        given[number] = odd_array(rng, given[number]) if number else desks[1:]
    rows, came = given[3], 0
    for _ in range(3):
        for _, peer in pairs:
            peer.sendall(b"".join(TEXTS[n] for n in rng.choice(len(TEXTS), rng.integers(0, 9), p=TEXT_SHARES)))
        try:
            form.receive(*given)
        except REFUSED:
            break
        came += int(rows.sum())
    for pair in pairs:
        for end in pair:
            end.close()
    return came


def main(seed: int, count: int) -> None:
    """Print how many kernels were made and how many refused, and how many samples sockets gave."""
    rng = np.random.default_rng(seed)
    made = refused = came = 0
    for _ in range(count):
        came += receive(rng)
        graph, arguments = valid(rng)
        for _ in range(rng.integers(3)):
            spoil(rng, arguments)
        precision, layers, ends, isa = arguments
        try:
            kernel = _extension().Kernel(precision, tuple(layers), tuple(ends), isa)
        except REFUSED:
            refused += 1
            continue
        made += 1
        use(rng, graph, kernel)
    print(f"{made} made, {refused} refused, {came} samples came")


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
