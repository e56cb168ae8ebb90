"""What cmlp promises, judged from the results; every target gives what was measured and whether it is met.

None for "met" says that there is nothing to judge: the cell or the competitor was not measured, or the target is a
figure to report only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from . import limits
from .networks import NETWORKS

OWN = ("cmlp", "cmlp avx2", "cmlp baseline")
Verdict = tuple[str, "bool | None"]
UNMEASURED: Verdict = ("not measured", None)


class Target(NamedTuple):
    key: str
    workload: str
    text: str
    judge: Callable[[Results], Verdict]


class Results:
    """The figures, by question."""

    def __init__(self, results: dict[str, Any]):
        self.all, self.limits = results, results["limits"]

    def cells(self, workload: str, **where: Any) -> Iterator[dict[str, Any]]:
        for cell in self.all["cells"]:
            if cell["workload"] == workload and all(cell.get(key) == value for key, value in where.items()):
                yield cell

    def ratios(
        self, workload: str, competitors: Any = None, own: str = "cmlp", **where: Any
    ) -> list[tuple[float, str]]:
        """How many times cmlp's time the competitors take, each with its cell's name."""
        found = []
        for cell in self.cells(workload, **where):
            entries = cell["competitors"]
            for name, entry in entries.items():
                asked = name not in OWN if competitors is None else name in competitors
                if asked and own in entries:
                    found.append((entry["us"] / entries[own]["us"], f"{name}, {cell_name(cell)}"))
        return found

    def fraction(self, cell: dict[str, Any], name: str = "cmlp", isa: str | None = None) -> float | None:
        """Of the limit that binds: the time that the machine needs at least, over the time taken."""
        least = limit_of(self.limits, cell, name, isa)
        entry = cell["competitors"].get(name)
        return least / entry["us"] if least and entry else None

    def peak_fraction(self, cell: dict[str, Any], name: str = "cmlp", isa: str | None = None) -> float | None:
        """Of the measured peak of multiply-adds alone."""
        entry = cell["competitors"].get(name)
        if entry is None or "peak" not in self.limits:
            return None
        network = NETWORKS[cell["network"]]
        flops = network.training_flops if cell["kind"] == "train" else network.forward_flops
        return flops / entry["us"] / 1e3 / limits.peak_of(self.limits, cell["dtype"], isa)


def cell_name(cell: dict[str, Any]) -> str:
    parts = [cell["network"]]
    if cell["kind"] == "train" and cell["workload"] != "W1":
        parts += [cell["solver"], str(cell["batch"])]
    return " ".join(parts + ([cell["dtype"]] if cell["dtype"] != "float32" else []))


def limit_of(found: dict[str, Any], cell: dict[str, Any], name: str = "cmlp", isa: str | None = None) -> float | None:
    """Least microseconds of a sample or a row."""
    if cell["kind"] == "train":
        return limits.training_limit(found, cell["network"], cell["dtype"], cell["batch"], isa)
    rows = 1 if cell["kind"] == "one" else cell["competitors"].get(name, {}).get("rows", 1)
    return limits.inference_limit(found, cell["network"], cell["dtype"], rows, isa)


# ---- ways to judge --------------------------------------------------------------------------------------


def at_least(times: float, workload: str, competitors: Any = None, own: str = "cmlp", **where: Any) -> Any:
    """The smallest ratio over the cells decides."""

    def judge(results: Results) -> Verdict:
        networks = where.get("network")
        options = {key: value for key, value in where.items() if key != "network"}
        names = networks if isinstance(networks, tuple) else (networks,)
        found = []
        for name in names:
            more = options if name is None else {**options, "network": name}
            found += results.ratios(workload, competitors, own, **more)
        if not found:
            return UNMEASURED
        ratio, which = min(found)
        behind = sum(value < times for value, _ in found)
        more = f"; {behind} of {len(found)} below" if behind > 1 else ""
        return f"least {ratio:.2f}x ({which}){more}", ratio >= times

    return judge


def of_the_peak(fraction: float, workload: str, **where: Any) -> Any:
    def judge(results: Results) -> Verdict:
        for cell in results.cells(workload, **where):
            found = results.peak_fraction(cell)
            if found is not None:
                return f"{found:.0%}", found >= fraction
        return UNMEASURED

    return judge


def call_at_most(us: float, *names: str) -> Any:
    def judge(results: Results) -> Verdict:
        calls = results.all.get("calls", {})
        found = {name: calls[name]["us"] for name in names if name in calls}
        if not found:
            return UNMEASURED
        return ", ".join(f"{name}: {value:.3f} us" for name, value in found.items()), max(found.values()) <= us

    return judge


def slope_within(name: str, least: float, most: float) -> Any:
    def judge(results: Results) -> Verdict:
        found = results.all.get("growth", {}).get(name)
        return (f"{found['slope']:.3f}", least <= found["slope"] <= most) if found else UNMEASURED

    return judge


def narrower_vectors(results: Results) -> Verdict:
    """AVX2 against the best: by time where the machine's peaks are alike, else each by its own peak, to read."""
    shares, times = [], []
    for workload in ("W2", "W4"):
        for cell in results.cells(workload, dtype="float32"):
            own, best = results.peak_fraction(cell, "cmlp avx2", "avx2"), results.peak_fraction(cell)
            if own and best:
                entries = cell["competitors"]
                shares.append((own / best, f"{own:.0%} of its peak against {best:.0%}, {workload} {cell_name(cell)}"))
                times.append(entries["cmlp avx2"]["us"] / entries["cmlp"]["us"])
    if not shares:
        return UNMEASURED
    peaks = [results.limits["peak"]["avx2"]["float32"], limits.peak_of(results.limits, "float32")]
    if peaks[1] > 1.1 * peaks[0]:
        return f"the peaks differ ({peaks[0]:.0f} and {peaks[1]:.0f} Gflop/s); least {min(shares)[1]}", None
    return f"{max(times):.2f}x the time at most", max(times) <= 1.15


def callers(results: Results) -> Verdict:
    found = results.all.get("threads", {}).get("callers")
    if not found:
        return UNMEASURED
    shown = (f"{name} {figures['1'] / figures['4']:.2f}x" for name, figures in found.items())
    return (
        f"calls per second of 4 threads against 1, on {results.all['threads']['cpus']} CPUs: {', '.join(shown)}",
        None,
    )


def two_threads(results: Results) -> Verdict:
    found = results.all.get("threads", {}).get("training")
    if not found:
        return UNMEASURED
    ratio = found["n_threads=1"]["us"] / found["n_threads=2"]["us"]
    return f"{ratio:.2f}x", ratio >= 1.7


def estimators_at_least(least: float, *parts: str) -> Any:
    """Of the calls whose names have all the parts."""

    def judge(results: Results) -> Verdict:
        found = results.all.get("estimators", {})
        ratios = [
            (entries["scikit-learn"]["us"] / entries["cmlp"]["us"], name)
            for name, entries in found.items() if all(part in name for part in parts)
        ]  # fmt: skip
        if not ratios:
            return UNMEASURED
        ratio, name = min(ratios)
        return f"least {ratio:.1f}x ({name})", ratio >= least

    return judge


def whole(results: Results) -> Verdict:
    found = results.all.get("whole", {})
    others = {name: entry["us"] for name, entry in found.items() if name != "cmlp"}
    if "cmlp" not in found or not others:
        return UNMEASURED
    name = min(others, key=others.get)
    ratio = others[name] / found["cmlp"]["us"]
    return f"{found['cmlp']['us'] / 1e6:.3f} s, {ratio:.1f}x quicker than {name}", ratio > 1


def imports(results: Results) -> Verdict:
    found = results.all.get("imports", {}).get("cmlp")
    if not found:
        return UNMEASURED
    return f"{found['milliseconds'][0]:.1f} ms beyond NumPy's import, {found['own']:.1f} MB", None


# ---- the targets ----------------------------------------------------------------------------------------

RIVALS = ("ONNX Runtime", "PyTorch", "scikit-learn")
CALLS = [f"model.{method}, {row}" for method in ("predict", "predict_proba") for row in ("x (64,)", "X (1, 64)")]
F32, F64 = {"dtype": "float32"}, {"dtype": "float64"}
SGD = {"solver": "sgd", **F32}

TARGETS = [
    Target("w1-all", "W1", "faster than every competitor in every cell", at_least(1, "W1", **F32)),
    *(
        Target(f"w1-c-{name}", "W1", f"{name}: {times}x the C reference",
               at_least(times, "W1", ("C reference",), network=name, **F32))
        for name, times in {"T": 1.3, "D": 1.5, "M": 1.8, "L": 1.8}.items()
    ),
    Target("w2-all", "W2", "faster than every competitor in every cell", at_least(1, "W2", **F32)),
    *(
        Target(f"w2-peak-{name}-{batch}", "W2", f"{name}, SGD, batch {batch}: {share:.0%} of the FMA peak",
               of_the_peak(share, "W2", network=name, batch=batch, **SGD))
        for name, batch, share in (("M", 256, 0.8), ("L", 256, 0.8), ("M", 32, 0.65), ("D", 256, 0.65))
    ),
    *(
        Target(f"w2-jax-{name}", "W2", f"{name}: 2x JAX", at_least(2, "W2", ("JAX",), network=name, **F32))
        for name in "TB"
    ),
    Target("w3-call", "W3", "net(x): at most 0.25 us over the network's own arithmetic (the call of a network of one "
           "weight)", call_at_most(0.25, "net(x), network 1-1")),
    *(
        Target(f"w3-onnx-{name}", "W3", f"{name}: {times}x ONNX Runtime",
               at_least(times, "W3", ("ONNX Runtime",), network=name, **F32))
        for name, times in {"T": 20, "D": 20, "M": 3, "L": 1}.items()
    ),
    Target("w3-model", "W3", "D: predict and predict_proba of a Model on one row, at most 2 us",
           call_at_most(2, *CALLS)),
    Target("w4-rivals", "W4", "faster than ONNX Runtime, PyTorch and scikit-learn everywhere",
           at_least(1, "W4", RIVALS, **F32)),
    *(
        Target(f"w4-peak-{name}", "W4", f"{name}: 80% of the FMA peak", of_the_peak(0.8, "W4", network=name, **F32))
        for name in "ML"
    ),
    Target("w5", "W5", "quicker than the others to the same accuracy", whole),
    Target("w6", "W6", "import time and size (reported)", imports),
    Target("w7-rows", "W7", "linear in rows: slope 0.95 to 1.05", slope_within("rows", 0.95, 1.05)),
    Target("w7-width", "W7", "linear in parameters, by width: slope at most 1.1", slope_within("width", 0, 1.1)),
    Target("w7-depth", "W7", "linear in parameters, by depth: slope at most 1.1", slope_within("depth", 0, 1.1)),
    Target("w8-callers", "W8", "net(x) from 4 threads (reported)", callers),
    Target("w8-training", "W8", "L, batch 256: n_threads=2 1.7x as quick as 1", two_threads),
    *(
        Target(f"w9-defaults-{data}", "W9", f"{data}: a fit with the defaults 5x",
               estimators_at_least(5, data, ", defaults"))
        for data in ("digits", "breast_cancer")
    ),
    Target("w9-batch-1", "W9", "a fit with batch_size=1: 20x", estimators_at_least(20, "fit", "batch_size=1")),
    Target("w9-all", "W9", "never slower than scikit-learn's", estimators_at_least(1)),
    Target("w9-predict", "W9", "predict of one row: 10x", estimators_at_least(10, "predict", "1 row")),
    *(
        Target(f"f64-{workload.lower()}", "float64", f"{workload}: faster than every competitor in every cell",
               at_least(1, workload, **F64))
        for workload in ("W1", "W2", "W4")
    ),
    *(
        Target(f"f64-peak-{name}", "float64", f"{name}, SGD, batch 256: 80% of the FMA peak of float64",
               of_the_peak(0.8, "W2", network=name, batch=256, solver="sgd", **F64))
        for name in "ML"
    ),
    Target("isa-avx2", "ISA", "AVX2 within 15% of AVX-512 where the peak is the same", narrower_vectors),
    *(
        Target(f"isa-baseline-{workload.lower()}", "ISA", f"baseline, {workload}: faster than scikit-learn and PyTorch "
               "up to M", at_least(1, workload, ("scikit-learn", "PyTorch"), own="cmlp baseline",
                                   network=("T", "D", "M"), **F32))
        for workload in ("W1", "W2")
    ),
]  # fmt: skip


def judged(results: dict[str, Any], only_measured: bool = False) -> list[dict[str, Any]]:
    asked = Results(results)
    verdicts = []
    for target in TARGETS:
        measured, met = target.judge(asked)
        if only_measured and measured == UNMEASURED[0]:
            continue
        verdicts.append(
            {"key": target.key, "workload": target.workload, "text": target.text, "measured": measured, "met": met}
        )
    return verdicts


def notes() -> dict[str, str]:
    """Explanations by target, from the headings of notes.md."""
    found: dict[str, list[str]] = {}
    key = None
    for line in (Path(__file__).parent / "notes.md").read_text().splitlines():
        if line.startswith("## "):
            key = line[3:].strip()
            found[key] = []
        elif key is not None:
            found[key].append(line)
    return {key: "\n".join(lines).strip() for key, lines in found.items()}
