"""model.h as text: what the model is, how to call it, and what its inputs and outputs mean."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from edge_rnn.graph import Graph

from .c_image import declaration, model_hash

if TYPE_CHECKING:
    from .to_c import Origin


def header_text(
    graph: Graph, origin: Origin, prefix: str, state_fields: Sequence[str], *, replaceable: bool = False
) -> str:
    """The public header; `state_fields` are the members of the state's struct."""
    p, P, exact = prefix, prefix.upper(), graph.precision == "int8"
    w = f"const {p}_weights *w, " if replaceable else ""
    x, y = ("const int16_t *xq", "int32_t *y") if exact else ("const float *x", "float *y")
    state_bytes = sum(spec.width * (2 if spec.dtype == "int16" else 4) for spec in graph.states)
    fields = "\n".join(f"    {field}" for field in state_fields)
    step = (
        "One step: xq from quantize -> y, logits in Q16 (y / 65536)."
        if exact
        else "One step: x in physical units, finite -> y, logits."
    )
    quantize = f"""
/* One sample in physical units -> xq; ERNN_NOT_FINITE, xq untouched, when it holds NaN or Inf. */
ernn_status {p}_quantize({w}const float *x, int16_t *xq);
"""
    return f"""/* {comment(origin.title)}: {shape_text(graph)}, {graph.precision}
 * Bundle sha256 {origin.bundle_digest}
 * Made by: {comment(origin.command)}
 * Do not edit: change the bundle and make it again.
 *
{_usage(p, P, exact, f"&{p}_built_in, " if replaceable else "")}
 *
 * Inputs, {origin.rate_hz:g} samples a second:
{_numbered(origin.channels)}
 * Outputs:
{_numbered(origin.labels)}
 */
#ifndef {P}_H
#define {P}_H

#include "kernel/ernn.h"

#ifdef __cplusplus
extern "C" {{
#endif

#define {P}_INT8 {int(exact)}
#define {P}_INPUTS {graph.inputs}
#define {P}_OUTPUTS {graph.outputs}
#define {P}_RATE_MILLIHZ {round(origin.rate_hz * 1000)}
#define {P}_HASH 0x{model_hash(graph):08X}u /* of the weights: a state belongs to it */
#define {P}_STATE_BYTES {state_bytes}

/* All that a stream remembers: zero it to start, one struct a stream. Its members are the kernel's business. */
typedef struct {{
{fields}
}} {p}_state;

extern const char *const {p}_labels[{P}_OUTPUTS];
{declaration(graph, p) if replaceable else ""}{quantize if exact else ""}
/* {step} */
void {p}_step({w}{p}_state *state, {x}, {y});

/* The output with the largest logit; of equal ones the first. */
unsigned {p}_best(const {y});

/* The state as {P}_STATE_BYTES bytes, the same on every engine: to keep a stream over a reset, or move it to a host. */
void {p}_save(const {p}_state *state, uint8_t *bytes);
void {p}_load({p}_state *state, const uint8_t *bytes);

#ifdef __cplusplus
}}
#endif
#endif
"""


def shape_text(graph: Graph) -> str:
    """`6 -> gru 32 -> 8`."""
    hidden = [f"{layer.kind} {layer.units}" for layer in graph.layers[:-1]]
    return " -> ".join([str(graph.inputs), *hidden, str(graph.outputs)])


def comment(text: str) -> str:
    """A user's text, made harmless inside a C comment."""
    printable = "".join(c if c.isprintable() else "?" for c in text)
    for pair in ("*/", "/*", "??"):  # ??/ is a backslash to C99
        printable = printable.replace(pair, " ".join(pair))
    return printable


def _numbered(names: Sequence[str]) -> str:
    return "\n".join(f" *   {index}  {comment(name)}" for index, name in enumerate(names))


def _usage(p: str, P: str, exact: bool, w: str) -> str:
    lines = [f"static {p}_state state;"]
    if exact:
        lines += [f"int16_t xq[{P}_INPUTS];", f"int32_t y[{P}_OUTPUTS];", f"if ({p}_quantize({w}x, xq) == ERNN_OK) {{"]
    else:
        lines += [f"float y[{P}_OUTPUTS];", f"if (ernn_check_finite(x, {P}_INPUTS) == ERNN_OK) {{"]
    lines += [f"    {p}_step({w}&state, {'xq' if exact else 'x'}, y);", f"    puts({p}_labels[{p}_best(y)]);", "}"]
    return "\n".join(f" *     {line}" for line in lines)
