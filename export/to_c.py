"""Graph -> model.c and model.h: const weights, the state as a struct, one line of C a layer.

The text is meant to be read and is deterministic: the same graph and origin give the same bytes. It calls the kernel
(`edge_rnn/kernel`), it never repeats the kernel's arithmetic. The caller owns all memory; nothing is allocated.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from edge_rnn.errors import UsageError
from edge_rnn.graph import Graph, Layer

from .c_arrays import floats, pad
from .c_header import header_text
from .c_image import definition
from .c_layers import float_layer, int8_fields, int8_layer, struct_text

UNROLLED = 8
"""Inputs whose loop is written out."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a model comes from and what its numbers mean: the text of the header."""

    title: str
    channels: tuple[str, ...]
    """`name [unit]` of each input."""
    labels: tuple[str, ...]
    rate_hz: float
    bundle_digest: str
    model_digest: str
    command: str
    """The command that made it, without paths."""


def to_c(graph: Graph, origin: Origin, prefix: str = "model", *, replaceable: bool = False) -> dict[str, str]:
    """`{"model.h": text, "model.c": text}`; `prefix` names the files and every symbol in them; raises UsageError.

    `replaceable`: an int8 model's weights are one struct, which every call is given (c_image).
    """
    if not (prefix.isidentifier() and prefix.isascii() and prefix.islower()):
        raise UsageError(f"prefix {prefix!r} names C symbols: expected lower-case letters, digits and _")
    source = _Source(graph, origin, prefix, replaceable)
    header = header_text(graph, origin, prefix, source.state_fields(), replaceable=replaceable)
    return {f"{prefix}.h": header, f"{prefix}.c": source.text()}


_RECURRENT = ("rnn", "gru", "lstm", "fastgrnn")


class _Source:
    """The parts of model.c. `x` and `y` are the C types of an input and of a logit."""

    def __init__(self, graph: Graph, origin: Origin, prefix: str, replaceable: bool = False) -> None:
        self.graph, self.origin, self.p = graph, origin, prefix
        self.given = f"const {prefix}_weights *w, " if replaceable else ""
        self.exact = graph.precision == "int8"
        self.x, self.y = ("const int16_t *xq", "int32_t *y") if self.exact else ("const float *x", "float *y")
        self.recurrent = [(i, layer) for i, layer in enumerate(graph.layers) if layer.kind in _RECURRENT]
        self.swaps = any(self._paired(layer) for _, layer in self.recurrent)

    def _paired(self, layer: Layer) -> bool:
        """Two halves of h, the last step's and the new one; where an int8 h follows from s, one when all is read."""
        return not (self.exact and layer.kind in ("gru", "fastgrnn"))

    def _h(self, index: int, layer: Layer, half: str) -> str:
        return f"state->h{index}[{half}]" if self._paired(layer) else f"state->h{index}"

    def _kept(self, index: int, layer: Layer) -> str | None:
        """What a recurrent layer remembers besides h: s of an int8 GRU or FastGRNN, c of an LSTM."""
        return f"state->s{index}" if layer.kind == "lstm" or not self._paired(layer) else None

    def state_fields(self) -> list[str]:
        """The members of the state's struct; words before halves of words."""
        word, half = ("int32_t", "int16_t") if self.exact else ("float", "float")
        step = 4 if self.exact else 1
        fields = [f"{word} s{i}[{pad(layer.units, step)}];" for i, layer in self.recurrent if self._kept(i, layer)]
        widths = {}
        for i, layer in enumerate(self.graph.layers[:-1]):
            name = f"a{i}" if layer.kind not in _RECURRENT else f"h{i}[2]" if self._paired(layer) else f"h{i}"
            widths[name] = layer.units
            past = self._past(i, layer)
            fields += [f"{half} b{i}[{past}] ERNN_ALIGNED;"] if past else []
        widths["x"] = self.graph.inputs
        if self.exact:
            fields += [f"{half} {name}[{pad(width, 8)}] ERNN_ALIGNED;" for name, width in widths.items()]
        else:
            fields += [f"{half} {name}[{width}];" for name, width in widths.items()]
        return [*fields, "uint8_t now; /* the half of h that the last step wrote */"] if self.swaps else fields

    def _past(self, index: int, layer: Layer) -> int:
        """Numbers in the buffer of a layer that is not recurrent."""
        if layer.kind in _RECURRENT:
            return 0
        return sum(state.width for state in layer.states(index, self.graph.precision))

    def _scratch(self) -> int:
        """Numbers that the widest layer wants for itself within a step."""
        found = [0]
        for layer in self.graph.layers:
            if layer.kind == "conv":
                found.append(pad(layer.size("kernel") * layer.inputs, 8 if self.exact else 1))
            if layer.kind == "attention":
                found.append(4 * layer.units + layer.size("window"))
            if layer.kind == "feedforward":
                found.append(layer.units + layer.size("hidden"))
        return max(found)

    def text(self) -> str:
        """model.c."""
        o, arrays, p = self.origin, self.graph.arrays, self.p
        notice = f"/* Weights and step of {p}.h. Bundle sha256 {o.bundle_digest}\n"
        notice += " * Do not edit: change the bundle and make it again.\n */\n"
        parts = [f'{notice}#include "{p}.h"\n']
        if self.given:
            parts.append(definition(self.graph, p))
        else:
            for index, layer in enumerate(self.graph.layers):
                parts += (int8_layer if self.exact else float_layer)(index, layer, self.graph.layer_arrays(index))
            parts += [floats(name, arrays[name]) for name in (["sx"] if self.exact else ["mean", "std"])]
        labels = "".join(f"    {_string(label)},\n" for label in o.labels)
        parts.append(f"const char *const {p}_labels[{p.upper()}_OUTPUTS] = {{\n{labels}}};\n")
        parts += [self._quantize()] if self.exact else []
        return "\n".join([*parts, self._step(), self._best(), self._snapshot("save"), self._snapshot("load")])

    def _step(self) -> str:
        inputs = f"for (unsigned j = 0; j < {self.p.upper()}_INPUTS; j++)"
        if self.exact and self.graph.inputs <= UNROLLED:
            inputs = f"ERNN_UNROLL_LANES({self.graph.inputs}) {inputs}"
        body = self._given_layers()
        body += ["const unsigned now = state->now, next = now ^ 1u;"] if self.swaps else []
        if self._scratch():
            body.append(f"{'int16_t' if self.exact else 'float'} scratch[{self._scratch()}] ERNN_ALIGNED;")
        if "l0.o" in self.graph.arrays:
            body.append(f"ernn_take_int8({'w->' if self.given else ''}l0_o, {self.p.upper()}_INPUTS, xq, state->x);")
        elif self.exact:
            body.append(f"{inputs} state->x[ERNN_LANE(j)] = xq[j];")
        else:
            body.append(f"{inputs} state->x[j] = (x[j] - mean[j]) / std[j];")
        below, suffix = "state->x", "int8" if self.exact else "float"
        for index, layer in enumerate(self.graph.layers[:-1]):
            arguments = [f"&layer{index}", below]
            if layer.kind not in _RECURRENT:
                below = f"state->a{index}"
                if layer.kind in ("window", "conv", "attention"):
                    arguments.append(f"state->b{index}" if self._past(index, layer) else "0")
                arguments += ["scratch"] if layer.kind in ("conv", "attention", "feedforward") else []
            else:
                kept, below = self._kept(index, layer), self._h(index, layer, "next")
                arguments += [kept] if kept else []
                arguments += [self._h(index, layer, "now")] if self._paired(layer) else []
            body.append(f"ernn_{layer.kind}_{suffix}({', '.join([*arguments, below])});")
        body.append(
            f"ernn_{'head' if self.exact else 'dense'}_{suffix}(&layer{len(self.graph.layers) - 1}, {below}, y);"
        )
        body += ["state->now = (uint8_t)next;"] if self.swaps else []
        return _function(f"void {self.p}_step({self.given}{self.p}_state *state, {self.x}, {self.y})", body)

    def _given_layers(self) -> list[str]:
        """The layers' structs around the weights that the step is given."""
        if not self.given:
            return []
        layers = [(i, layer, self.graph.layer_arrays(i)) for i, layer in enumerate(self.graph.layers)]
        texts = [struct_text("const ernn_int8_layer", i, int8_fields(i, layer, a, "w->")) for i, layer, a in layers]
        return [line for text in texts for line in text.splitlines()]

    def _quantize(self) -> str:
        signature = f"ernn_status {self.p}_quantize({self.given}const float *x, int16_t *xq)"
        sx = "w->sx" if self.given else "sx"
        return _function(signature, [f"return ernn_quantize({sx}, {self.p.upper()}_INPUTS, x, xq);"])

    def _best(self) -> str:
        loop = f"for (unsigned j = 1; j < {self.p.upper()}_OUTPUTS; j++)"
        body = ["unsigned best = 0;", loop, "    if (y[j] > y[best]) best = j;", "return best;"]
        return _function(f"unsigned {self.p}_best(const {self.y})", body)

    def _snapshot(self, verb: str) -> str:
        """Save or load: the arrays in the order of `Graph.states`."""
        body = []
        for index, layer in enumerate(self.graph.layers):
            if layer.kind not in _RECURRENT:
                kind, past = "buf" if self.exact else "float", self._past(index, layer)
                body += [f"bytes = ernn_{verb}_{kind}(bytes, state->b{index}, {past});"] if past else []
                continue
            h, kept, units = self._h(index, layer, "state->now"), self._kept(index, layer), layer.units
            names = ("h", "s") if self.exact else ("float", "float")
            if self._paired(layer):
                body.append(f"bytes = ernn_{verb}_{names[0]}(bytes, {h}, {units});")
            if kept:
                body.append(f"bytes = ernn_{verb}_{names[1]}(bytes, {kept}, {units});")
            if verb == "load" and not self._paired(layer):
                body.append(f"ernn_gru_h({kept}, {h}, {units});")
        body += ["(void)bytes;"] if body else ["(void)state, (void)bytes;"]
        arguments = {"save": "const {p}_state *state, uint8_t *bytes", "load": "{p}_state *state, const uint8_t *bytes"}
        return _function(f"void {self.p}_{verb}({arguments[verb].format(p=self.p)})", body)


def _function(signature: str, body: Sequence[str]) -> str:
    return signature + " {\n" + "".join(f"    {line}\n" for line in body) + "}\n"


def _string(text: str) -> str:
    """A C string literal of the UTF-8 bytes; octal escapes, which end after three digits, also for trigraphs."""
    plain = {b for b in range(32, 127) if chr(b) not in '?\\"'}
    return '"' + "".join(chr(b) if b in plain else f"\\{b:03o}" for b in text.encode()) + '"'
