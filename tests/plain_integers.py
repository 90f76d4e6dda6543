"""docs/numeric.md a second time, in plain Python numbers, one at a time: the oracle of the engines and the exporter.

Written from the page, sharing nothing with edge_rnn but the table. Slow and obvious on purpose. `weights` are the
arrays of an int8 graph as lists, `layers` its layers.
"""

from __future__ import annotations

import itertools
import math


def floor_shift(v: int, S: int) -> int:
    return (v + (1 << S >> 1)) // (1 << S)


def saturate(v: int, bits: int) -> int:
    return max(-(1 << (bits - 1)), min((1 << (bits - 1)) - 1, v))


class Model:
    def __init__(self, layers, weights: dict, table: list[int]) -> None:
        self.layers, self.weights, self.table = layers, weights, table
        self.state = {}
        for i, layer in enumerate(layers):
            for name in {"rnn": "h", "gru": "s", "lstm": "hc", "fastgrnn": "s"}.get(layer.kind, ""):
                self.state[f"{name}{i}"] = [0] * layer.units
            past = layer.window if layer.kind == "window" else 0
            if layer.kind == "conv":
                past = (layer.kernel - 1) * layer.dilation
            if past:
                self.state[f"buf{i}"] = [0] * (past * layer.inputs)

    def f(self, p: int, sh: int) -> int:
        a = min(abs(p), 256 * 2**sh - 1)
        i = a // 2**sh
        v = self.table[i] + floor_shift((self.table[i + 1] - self.table[i]) * (a % 2**sh), sh)
        return -v if p < 0 else v

    def tanh(self, p: int) -> int:
        return self.f(p, 11)

    def sigma(self, p: int) -> int:
        return 2**23 + self.f(p, 12)

    def rq(self, name: str, v: list[int]) -> list[int]:
        W, m, (S, k) = (self.weights[name + part] for part in ("w", "m", "S_k"))
        found = []
        for row, mi in zip(W, m, strict=True):
            acc = sum(a * b for a, b in zip(row, v, strict=True))
            assert abs(acc << k) < 2**31
            high = ((acc << k) * mi) >> 32
            assert abs(high) < 2**31
            found.append((high + (1 << (S + k - 33))) >> (S + k - 32))
        return found

    def step(self, xq: list[int]) -> list[int]:
        a = xq
        if "l0.o" in self.weights:
            a = [saturate(v - o, 16) for v, o in zip(xq, self.weights["l0.o"], strict=True)]
        for i, layer in enumerate(self.layers):
            a = getattr(self, layer.kind)(i, layer, a)
        return a

    def activation(self, layer, p: int) -> int:
        v = floor_shift(p, layer.exponent)
        return saturate(max(0, v) if layer.activation == "relu" else v, 16)

    def dense(self, i, layer, a):
        p = [v + b for v, b in zip(self.rq(f"l{i}.", a), self.weights[f"l{i}.b"], strict=True)]
        return p if layer.exponent is None else [self.activation(layer, v) for v in p]

    def window(self, i, layer, a):
        self.state[f"buf{i}"] = self.state[f"buf{i}"][len(a) :] + a
        return self.state[f"buf{i}"]

    def statistics(self, i, layer, a):
        W = layer.window
        found = {name: [] for name in ("mean", "sd", "min", "max", "change")}
        for c, floor in enumerate(self.weights[f"l{i}.floor"]):
            v = a[c :: len(a) // W]
            total = sum(v)
            found["mean"].append(total)
            found["sd"].append((math.isqrt(4 * (W * (floor + sum(u * u for u in v)) - total * total)) + 1) // 2)
            found["min"].append(W * min(v))
            found["max"].append(W * max(v))
            found["change"].append(sum(abs(later - earlier) for earlier, later in itertools.pairwise(v)))
        m, (S, k) = self.weights[f"l{i}.m"], self.weights[f"l{i}.S_k"]
        made = []
        for acc, mi in zip(itertools.chain(*found.values()), m, strict=True):
            assert abs(acc << k) < 2**31
            high = ((acc << k) * mi) >> 32
            made.append(saturate((high + (1 << (S + k - 33))) >> (S + k - 32), 16))
        return made

    def conv(self, i, layer, a):
        past = [*self.state.get(f"buf{i}", []), *a]
        rows = [past[j : j + layer.inputs] for j in range(0, len(past), layer.inputs)]
        if f"buf{i}" in self.state:
            self.state[f"buf{i}"] = past[len(a) :]
        return self.dense(i, layer, [v for row in rows[:: layer.dilation] for v in row])

    def fastgrnn(self, i, layer, x):
        old, b_z, b_h = self.state[f"s{i}"], self.weights[f"l{i}.b_z"], self.weights[f"l{i}.b_h"]
        [zeta], [nu] = self.weights[f"l{i}.zeta"], self.weights[f"l{i}.nu"]
        ax = self.rq(f"l{i}.ih_", x)
        ah = self.rq(f"l{i}.hh_", [saturate((s + 4096) >> 13, 16) for s in old])
        new = []
        for j, s in enumerate(old):
            a = ax[j] + ah[j]
            z = self.sigma(a + b_z[j])
            g = floor_shift((2**24 - z) * zeta, 24) + nu
            n = floor_shift(g * self.tanh(a + b_h[j]), 18 + layer.exponent)
            new.append(max(-(2**29), min(2**29, n + floor_shift(s * z, 24))))
        self.state[f"s{i}"] = new
        return [saturate((s + 4096) >> 13, 16) for s in new]

    def sums(self, i, layer, a, h):
        ax = [v + b for v, b in zip(self.rq(f"l{i}.ih_", a), self.weights[f"l{i}.b"], strict=True)]
        ah = self.rq(f"l{i}.hh_", h)
        H = layer.units
        return [(ax[g : g + H], ah[g : g + H]) for g in range(0, len(ax), H)]

    def rnn(self, i, layer, a):
        [(ax, ah)] = self.sums(i, layer, a, self.state[f"h{i}"])
        p = [v + w for v, w in zip(ax, ah, strict=True)]
        if layer.activation == "relu":
            self.state[f"h{i}"] = [self.activation(layer, v) for v in p]
        else:
            self.state[f"h{i}"] = [saturate((self.tanh(v) + 128) >> 8, 16) for v in p]
        return self.state[f"h{i}"]

    def gru(self, i, layer, a):
        old = self.state[f"s{i}"]
        r_, z_, n_ = self.sums(i, layer, a, [saturate((s + 4096) >> 13, 16) for s in old])
        new = []
        for j, s in enumerate(old):
            r, z = self.sigma(r_[0][j] + r_[1][j]), self.sigma(z_[0][j] + z_[1][j])
            inner = n_[1][j] + self.weights[f"l{i}.bn"][j]
            n28 = 32 * self.tanh(n_[0][j] + floor_shift(inner * r, 24))
            new.append(n28 + floor_shift((s - n28) * z, 24))
        self.state[f"s{i}"] = new
        return [saturate((s + 4096) >> 13, 16) for s in new]

    def lstm(self, i, layer, a):
        gates = [[v + w for v, w in zip(*pair, strict=True)] for pair in self.sums(i, layer, a, self.state[f"h{i}"])]
        h, c = [], []
        for old, pi, pf, pg, po in zip(self.state[f"c{i}"], *gates, strict=True):
            total = old * self.sigma(pf) * 8 + self.sigma(pi) * self.tanh(pg)
            c.append(saturate(floor_shift(total, 27), 32))
            h.append(saturate(floor_shift(self.sigma(po) * self.tanh((c[-1] + 8) >> 4), 32), 16))
        self.state[f"h{i}"], self.state[f"c{i}"] = h, c
        return h


def quantize(layers, w: dict, sx: list[float], exponents: list, bits: int, codes: dict | None = None) -> dict:
    """Floats (a float32 graph's arrays as lists) to the integers of `Model`.

    `codes`: what an output's code is to the float twin, for each statistics layer.
    """
    made: dict = {}
    s_in, top = 2.0**-15, {8: 127, 4: 7}[bits]

    def matrix(name: str, rows: list[list[float]], s_in: float) -> None:
        s = [max(max(abs(v) for v in row) / top, 1e-9) for row in rows]
        f = [v * s_in * 2.0**16 for v in s]
        S = min(62, math.floor(30.999 - math.log2(max(f))))
        made[name + "w"] = [[max(-top, min(top, round(v / si))) for v in row] for row, si in zip(rows, s, strict=True)]
        made[name + "m"] = [max(1, round(v * 2.0**S)) for v in f]
        made[name + "S_k"] = [S, max(0, 33 - S)]

    mean, std, folded = w["mean"], w["std"], False
    if layers[0].kind in ("window", "conv"):
        made["l0.o"] = [max(-32768, min(32767, round(mu / x))) for mu, x in zip(mean, sx, strict=True)]
        mean = [mu - o * x for mu, o, x in zip(mean, made["l0.o"], sx, strict=True)]
    for i, (layer, e) in enumerate(zip(layers, exponents, strict=True)):
        if layer.kind == "window":
            continue
        if layer.kind == "statistics":
            C, W = layer.inputs // layer.window, layer.window
            if folded:
                mean, std, sx, folded = [0.0] * C, [1.0] * C, [s_in] * C, False
            mean, std, sx = (list(v) * (C // len(v)) for v in (mean, std, sx))
            u = [x / d for x, d in zip(sx, std, strict=True)]
            made[f"l{i}.floor"] = [max(0, min(2**31 - 1, round(W * 1e-6 / v**2))) for v in u]
            t = [max(v, ui / 256) for v, ui in zip(codes[i], u * 5, strict=True)]
            f = [ui / (v * (W - (j >= 4 * C))) for j, (v, ui) in enumerate(zip(t, u * 5, strict=True))]
            S = min(62, math.floor(30.999 - math.log2(max(f))))
            made[f"l{i}.m"], made[f"l{i}.S_k"] = [max(1, round(v * 2.0**S)) for v in f], [S, max(0, 33 - S)]
            mean = mean + [0.0] * C + mean + mean + [0.0] * C
            std, s_in = std * 5, 2.0**-15
            sx = [v * d for v, d in zip(t, std, strict=True)]
            continue
        p, ih, bias = f"l{i}.", "w_ih", "b_ih"
        if layer.kind in ("dense", "conv"):
            ih, bias = "w", "b"
        if layer.kind == "fastgrnn":
            bias = "b_z"
        rows, b = w[p + ih], list(w[p + bias])
        b_h = list(w.get(p + "b_h", []))
        if not folded:
            times = len(rows[0]) // len(mean)
            rows = [[v / d for v, d in zip(row, std * times, strict=True)] for row in rows]
            moved = [math.fsum(v * mu for v, mu in zip(r, mean * times, strict=True)) for r in rows]
            b, b_h = ([bi - v for bi, v in zip(values, moved, strict=False)] for values in (b, b_h))
            rows = [[v * x * 2.0**15 for v, x in zip(row, list(sx) * times, strict=True)] for row in rows]
        folded = True
        s_out = 2.0**-15 if e is None else 2.0 ** -(16 - e)
        matrix(p if layer.kind in ("dense", "conv") else p + "ih_", rows, s_in)
        if layer.kind == "fastgrnn":
            matrix(p + "hh_", w[p + "w_hh"], s_out)
            made[p + "b_z"], made[p + "b_h"] = ([round(v * 65536) for v in values] for values in (b, b_h))
            made[p + "zeta"], made[p + "nu"] = ([round(v * 2.0**24) for v in w[p + name]] for name in ("zeta", "nu"))
            s_in = s_out
            continue
        if layer.kind not in ("dense", "conv"):
            matrix(p + "hh_", w[p + "w_hh"], s_out)
            merged = len(b) if layer.kind != "gru" else 2 * layer.units
            b_hh = w[p + "b_hh"]
            b = [v + (u if n < merged else 0) for n, (v, u) in enumerate(zip(b, b_hh, strict=True))]
            if layer.kind == "gru":
                made[p + "bn"] = [round(v * 65536) for v in b_hh[merged:]]
        made[p + "b"] = [round(v * 65536) for v in b]
        s_in = s_out
    return made
