"""A chart per workload, by matplotlib; small files, since they are kept with the sources."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

from .targets import cell_name

AXES = {"W1": "microseconds per sample", "W2": "microseconds per sample", "W3": "microseconds per call",
        "W4": "microseconds per row"}  # fmt: skip
COLOURS = {
    "cmlp": "#c1121f", "cmlp avx2": "#e5737b", "cmlp baseline": "#f2b5b9", "C reference": "#1d3557",
    "numba": "#2a9d8f", "FANN": "#8d99ae", "scikit-learn": "#f4a261", "PyTorch": "#9b5de5", "JAX": "#3a86ff",
    "ONNX Runtime": "#606c38",
}  # fmt: skip
MARKS = {"cmlp": "D", "cmlp avx2": "d", "cmlp baseline": "d"}


def draw(results: dict[str, Any], folder: Path) -> dict[str, str] | str:
    """File names by workload, or why there are none."""
    if importlib.util.find_spec("matplotlib") is None:
        return "matplotlib is not installed"
    import matplotlib

    matplotlib.use("Agg")
    drawn = {}
    for workload in AXES:
        found = [cell for cell in results["cells"] if cell["workload"] == workload]
        if found:
            drawn[workload] = save(cells(found, AXES[workload]), folder, workload)
    if results.get("whole"):
        figures = {name: entry["us"] / 1e3 for name, entry in results["whole"].items()}
        drawn["W5"] = save(bars(figures, "milliseconds of a whole fit"), folder, "W5")
    if results.get("imports"):
        figures = {name: entry["milliseconds"][0] for name, entry in results["imports"].items()}
        drawn["W6"] = save(bars(figures, "milliseconds of an import, beyond NumPy's"), folder, "W6")
    if results.get("growth"):
        drawn["W7"] = save(lines(results["growth"]), folder, "W7")
    return drawn


def save(figure: Any, folder: Path, workload: str) -> str:
    from matplotlib import pyplot

    name = f"{workload}.png"
    figure.savefig(folder / name, dpi=80, bbox_inches="tight", metadata={"Software": None})
    pyplot.close(figure)
    return name


def cells(found: list[dict[str, Any]], label: str) -> Any:
    """A line per cell, a mark per competitor on a logarithmic axis, with a bar from the least to the most."""
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(9, 1.2 + 0.36 * len(found)))
    names = [name for name in COLOURS if any(name in cell["competitors"] for cell in found)]
    for name in names:
        at = [(i, cell["competitors"][name]) for i, cell in enumerate(found) if name in cell["competitors"]]
        us = [entry["us"] for _, entry in at]
        spread = [[entry["us"] - entry["min"] for _, entry in at], [entry["max"] - entry["us"] for _, entry in at]]
        first = name == "cmlp"
        axes.errorbar(
            us, [i for i, _ in at], xerr=spread, fmt=MARKS.get(name, "o"), color=COLOURS[name], label=name,
            markersize=5 + first, elinewidth=1, zorder=2 + first,
        )  # fmt: skip
    axes.set_yticks(range(len(found)), [cell_name(cell) for cell in found])
    axes.invert_yaxis()
    dress(axes, label)
    axes.legend(loc="upper left", bbox_to_anchor=(1, 1), frameon=False, fontsize=9)
    return figure


def bars(figures: dict[str, float], label: str) -> Any:
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(7, 0.9 + 0.32 * len(figures)))
    axes.barh(list(figures), list(figures.values()), color=[COLOURS[name] for name in figures], height=0.6)
    for i, value in enumerate(figures.values()):
        axes.annotate(f" {value:.3g}", (value, i), va="center", fontsize=9)
    axes.invert_yaxis()
    dress(axes, label)
    axes.set_xlim(right=max(figures.values()) * 2)
    return figure


def dress(axes: Any, label: str) -> None:
    axes.set_xscale("log")
    axes.set_xlabel(label)
    axes.grid(axis="x", which="major", color="#dddddd", zorder=0)
    axes.set_axisbelow(True)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.tick_params(axis="y", length=0)


def lines(growth: dict[str, Any]) -> Any:
    """Log-log: what is linear is straight and rises by a decade in a decade."""
    from matplotlib import pyplot

    figure, panels = pyplot.subplots(1, len(growth), figsize=(3 * len(growth), 2.8), squeeze=False)
    for axes, (name, line) in zip(panels[0], growth.items(), strict=True):
        axes.loglog(line["x"], line["us"], "o-", color=COLOURS["cmlp"], markersize=4)
        axes.set_title(f"{name}: slope {line['slope']:.2f}", fontsize=10)
        axes.set_xlabel(line["by"])
        axes.grid(which="major", color="#dddddd")
    panels[0][0].set_ylabel("microseconds")
    figure.tight_layout()
    return figure
