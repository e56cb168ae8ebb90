"""Trace: the quantities of the hand calculation for one sample, as arrays and as a table."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from .validation import Array

SHOWN = 12  # units, and columns of a matrix, in a printed table


class Trace(Mapping[str, Any]):
    """What one sample does in a network, forwards and backwards.

    A mapping from names to arrays, named as in docs/derivation.md; each name is an attribute too.

    ================ ======================= ====================================================
    name             shape                   quantity
    ================ ======================= ====================================================
    x, y             (d_0,), (C,)            the sample and its target row
    z_1 ... z_L      (d_l,)                  W_l o_{l-1} + b_l
    o_0 ... o_L      (d_l,)                  o_0 = x, o_l = s_l(z_l); o_L is the network's output
    delta_1 ...      (d_l,)                  dL/dz_l, from the weights before the update
    grad_W_1 ...     (d_l, d_{l-1})          delta_l o_{l-1}^T
    grad_b_1 ...     (d_l,)                  delta_l
    W_1, b_1 ...     (d_l, d_{l-1}), (d_l,)  the parameters
    new_W_1 ...      (d_l, d_{l-1})          W_l - eta grad_W_l
    new_b_1 ...      (d_l,)                  b_l - eta grad_b_l
    loss             float                   of the sample
    learning_rate    float                   eta
    ================ ======================= ====================================================

    `trace.o` is the tuple (o_0, ..., o_L); `trace.z`, `trace.delta`, `trace.grad_W`, `trace.grad_b`, `trace.W`,
    `trace.b`, `trace.new_W` and `trace.new_b` run over the layers 1 to L.
    """

    def __init__(
        self, *, y: Array, loss: float, o: list[Array], z: list[Array], delta: list[Array],
        gradients: tuple[tuple[Array, ...], tuple[Array, ...]], weights: tuple[Array, ...], biases: tuple[Array, ...],
        learning_rate: float, activation: tuple[str, ...], loss_name: str,
    ):  # fmt: skip
        eta = y.dtype.type(learning_rate)
        self._s = activation
        self._loss_name = loss_name
        per_layer = {
            "z": tuple(z),
            "delta": tuple(delta),
            "grad_W": gradients[0],
            "grad_b": gradients[1],
            "W": tuple(W.copy() for W in weights),
            "b": tuple(b.copy() for b in biases),
            "new_W": tuple(W - eta * grad for W, grad in zip(weights, gradients[0], strict=True)),
            "new_b": tuple(b - eta * grad for b, grad in zip(biases, gradients[1], strict=True)),
        }
        self._groups: dict[str, tuple[Array, ...]] = {"o": tuple(o), **per_layer}
        self._values: dict[str, Any] = {"x": o[0], "y": y, "loss": loss, "learning_rate": learning_rate}
        self._values |= {f"o_{layer}": array for layer, array in enumerate(o)}
        for name, arrays in per_layer.items():
            self._values |= {f"{name}_{layer}": array for layer, array in enumerate(arrays, 1)}

    def __getitem__(self, name: str) -> Any:
        try:
            return self._values[name]
        except KeyError:
            raise KeyError(f"a trace has no {name!r}: expected one of {', '.join(self._values)}") from None

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):  # of a copy to be, for instance, which has no values yet
            raise AttributeError(f"a trace has no {name!r}")
        for names in (self._values, self._groups):
            if name in names:
                return names[name]
        raise AttributeError(f"a trace has no {name!r}: expected one of {', '.join(self._values)}")

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *self._values, *self._groups]

    # ---- the table ---------------------------------------------------------------------------------

    def __str__(self) -> str:
        L = len(self._s)
        head = [
            f"x = o_0 = {_row(self['x'])}",
            f"y = {_row(self['y'])}",
            f"loss ({self._loss_name}) = {self['loss']:.9g}      eta = {self['learning_rate']:g}",
        ]
        return "\n\n".join(["\n".join(head), *(self._layer(layer) for layer in range(1, L + 1))])

    __repr__ = __str__

    def _layer(self, l: int) -> str:
        d_out, d_in = self[f"W_{l}"].shape
        title = f"Layer {l}: {d_in} -> {d_out}, {self._s[l - 1]}"
        matrices = {
            f"W_{l}": f"W_{l}",
            f"grad_W_{l}": f"grad_W_{l} = delta_{l} o_{l - 1}^T",
            f"new_W_{l}": f"new_W_{l} = W_{l} - eta grad_W_{l}",
        }
        tables = [f"{heading}\n{_matrix(self[name])}" for name, heading in matrices.items()]
        return "\n".join([title, "-" * len(title), self._units(l), *tables])

    def _units(self, l: int) -> str:
        names = [f"{name}_{l}" for name in ("z", "o", "delta", "grad_b", "b", "new_b")]
        columns = [self[name] for name in names]
        lines = ["unit " + "".join(f"{name:>14}" for name in names)]
        for unit in range(min(len(columns[0]), SHOWN)):
            lines.append(f"{unit + 1:>4} " + "".join(f"{column[unit]:>14.6g}" for column in columns))
        if len(columns[0]) > SHOWN:
            lines.append(f" ...  {len(columns[0]) - SHOWN} more units")
        return "\n".join(lines)


def _row(values: Array) -> str:
    text = ", ".join(f"{value:.6g}" for value in values[:SHOWN])
    return f"[{text}{', ...' if len(values) > SHOWN else ''}]"


def _matrix(values: Array) -> str:
    with np.printoptions(precision=6, suppress=False, threshold=0, edgeitems=SHOWN // 2, linewidth=120):
        if max(values.shape) <= SHOWN:
            return np.array2string(values, threshold=values.size + 1)
        return np.array2string(values)
