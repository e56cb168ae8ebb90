"""The command line: `python -m bench`.

The process is pinned before anything else is imported: the libraries read their numbers of threads when they load.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import Any

from . import machine

ROOT = Path(__file__).resolve().parents[1]
PARTIAL = "bench-results"


def main(arguments: list[str] | None = None) -> int:
    allowed = machine.pin()
    from .adapters import adapters
    from .networks import NETWORKS
    from .targets import TARGETS
    from .workloads import WORKLOADS

    options = parsed(arguments, list(WORKLOADS), list(NETWORKS), list(adapters()))
    if options.list:
        show_list(WORKLOADS, NETWORKS, adapters(), TARGETS)
        return 0
    results = measured(options, allowed)
    return written(results, options)


def parsed(arguments: list[str] | None, workloads: list[str], networks: list[str], competitors: list[str]) -> Any:
    parser = argparse.ArgumentParser(prog="python -m bench", description="cmlp against its competitors, on one thread.")

    def names(known: list[str]) -> Any:
        lower = {name.lower(): name for name in known}

        def split(text: str) -> list[str]:
            wanted = [part.strip().lower() for part in text.split(",")]
            for part in wanted:
                if part not in lower:
                    raise argparse.ArgumentTypeError(f"{part!r}: expected some of {', '.join(known)}")
            return [name for key, name in lower.items() if key in wanted]

        return split

    parser.add_argument("--quick", action="store_true", help="fewer cells and shorter samples: less than two minutes")
    parser.add_argument("--only", type=names(workloads), metavar="W1,W3", help="these workloads")
    parser.add_argument("--networks", type=names(networks), metavar="T,D", help="these networks")
    parser.add_argument("--competitors", type=names(competitors), metavar="NAME,...", help="these, and cmlp")
    parser.add_argument("--dtype", choices=("float32", "float64", "both"), help="both, or float32 with --quick")
    parser.add_argument("--rounds", type=int, help="samples of each figure, 7 by default")
    parser.add_argument("--out", type=Path, help="where to: docs for a full run, else bench-results")
    parser.add_argument("--list", action="store_true", help="show what there is, and what is missing here")
    options = parser.parse_args(arguments)
    if options.rounds is not None and options.rounds < 1:
        parser.error(f"--rounds {options.rounds}: expected at least 1")
    partial = options.quick or any((options.only, options.networks, options.competitors, options.dtype, options.rounds))
    options.partial = bool(partial)
    options.out = options.out or (Path(PARTIAL) if partial else ROOT / "docs")
    options.only = options.only or workloads
    options.networks = options.networks or networks
    options.competitors = options.competitors or competitors
    return options


def measured(options: Any, allowed: list[int]) -> dict[str, Any]:
    from . import limits
    from .checks import disagreement
    from .workloads import WORKLOADS, Plan, Run
    from .workloads.run import QUICK

    began = time.perf_counter()
    plan = QUICK if options.quick else Plan()
    if options.rounds:
        plan = plan._replace(rounds=options.rounds)
    wanted = options.dtype or ("float32" if options.quick else "both")
    dtypes = ("float32", "float64") if wanted == "both" else (wanted,)
    described = machine.describe(allowed)
    print(f"{described['cpu']}, {described['cores']} cores, load {described['load_at_start']}, pinned to one CPU")
    found = limits.measure(dtypes, tuple(options.networks))
    run = Run({}, options.networks, dtypes, plan, allowed)
    admit(run, options, disagreement)
    for name in options.only:
        print(f"\n{name}: {WORKLOADS[name][0]}", flush=True)
        WORKLOADS[name][1](run)
        found = limits.best(found, limits.measure(dtypes, tuple(options.networks)))
    described |= {
        "cmlp": cmlp_build(),
        "load_at_end": machine.load(), "threads": machine.threads(), "minutes": (time.perf_counter() - began) / 60,
        "competitors": {name: adapter.version() for name, adapter in run.adapters.items()},
        "notes": {name: adapter.note for name, adapter in run.adapters.items() if adapter.note},
    }  # fmt: skip
    return {"machine": described, "plan": plan._asdict(), "limits": found, **run.results}


def cmlp_build() -> str:
    import cmlp
    from cmlp.kernels import ISA

    return f"cmlp {cmlp.__version__}, {ISA}"


def admit(run: Any, options: Any, disagreement: Any) -> None:
    """Competitors that are here and compute the same."""
    from .adapters import adapters

    for name, adapter in adapters().items():
        if name not in options.competitors and name != "cmlp":
            continue
        reason = adapter.available()
        reason = reason or (None if name.startswith("cmlp") else disagreement(adapter, options.quick))
        if reason:
            run.skip(name, reason)
        else:
            run.adapters[name] = adapter


def written(results: dict[str, Any], options: Any) -> int:
    from . import charts, report, targets

    results["targets"] = targets.judged(results, only_measured=options.partial)
    folder = options.out / "benchmarks"
    folder.mkdir(parents=True, exist_ok=True)
    if options.out.name == PARTIAL:
        (options.out / ".gitignore").write_text("*\n")
    drawn = charts.draw(results, folder)
    if isinstance(drawn, str):
        print(f"  skipped: charts: {drawn}")
        drawn = {}
    report.write(results, options.out, drawn)
    print(report.table(results))
    print(f"\nwritten to {options.out / 'benchmarks.md'} in {results['machine']['minutes']:.1f} minutes")
    return 0


def show_list(workloads: Any, networks: Any, competitors: Any, targets: Any) -> None:
    for name, (text, _) in workloads.items():
        print(f"{name}  {text}")
    for name, network in networks.items():
        print(f"{name}   {'-'.join(map(str, network.sizes))}, {', '.join(network.activations)}, softmax")
    for name, adapter in competitors.items():
        print(f"{name}: {adapter.available() or 'here'}")
    for target in targets:
        print(f"{target.key}: {target.workload} {target.text}")


if __name__ == "__main__":
    sys.exit(main())
