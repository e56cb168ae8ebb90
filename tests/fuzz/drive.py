"""Runs a harness: by atheris where it is installed, guided by coverage, else by mutations alone.

A harness fails by an exception, a crash, a hang or too much memory; what made it fail is kept beside the seeds.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import os
import pathlib
import random
import sys
import tempfile
import time
from collections.abc import Callable, Iterable

sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))

Input = Callable[[bytes], None]
Mutate = Callable[[bytes, random.Random], bytes]
TIMEOUT = 30  # seconds that one input may take


def instrumented() -> contextlib.AbstractContextManager:
    """Imports within are watched by atheris, if this run is to use it."""
    if "--plain" in sys.argv or importlib.util.find_spec("atheris") is None:
        return contextlib.nullcontext()
    import atheris

    return atheris.instrument_imports(include=["cmlp"])


def main(one_input: Input, seeds: Iterable[bytes], mutate: Mutate, argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1, 2**31))
    parser.add_argument("--memory", type=int, default=512, help="MB that may be taken beside what is taken at first")
    parser.add_argument("--plain", action="store_true", help="without atheris")
    parser.add_argument("--findings", default=".", help="folder for inputs that fail")
    parser.add_argument("inputs", nargs="*", help="files to run instead")
    options = parser.parse_args(argv)
    if options.inputs:
        for path in options.inputs:
            one_input(pathlib.Path(path).read_bytes())
        return
    limit_memory(options.memory)
    pathlib.Path(options.findings).mkdir(parents=True, exist_ok=True)
    guided = not options.plain and importlib.util.find_spec("atheris") is not None
    print(f"{'atheris' if guided else 'mutations alone'}, seed {options.seed}, {options.seconds} s", flush=True)
    (by_atheris if guided else by_mutation)(one_input, list(seeds), mutate, options)


def limit_memory(megabytes: int) -> None:
    """More than that becomes a MemoryError, which no harness takes for an answer."""
    try:
        import resource

        pages = int(pathlib.Path("/proc/self/statm").read_text().split()[0])
    except (ImportError, OSError):
        return
    limit = pages * resource.getpagesize() + megabytes * 2**20
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


def by_mutation(one_input: Input, seeds: list[bytes], mutate: Mutate, options: argparse.Namespace) -> None:
    source = random.Random(options.seed)
    for seed in seeds:
        one_input(seed)
    end, executions = time.monotonic() + options.seconds, len(seeds)
    path = pathlib.Path(options.findings, f"crash-{options.seed}")
    while time.monotonic() < end:
        content = mutate(source.choice(seeds), source)
        path.write_bytes(content)  # before, for it may end the process
        try:
            one_input(content)
        except BaseException:
            print(f"fails, after {executions} executions: {path}", flush=True)
            raise
        executions += 1
    path.unlink()
    print(f"{executions} executions in {options.seconds} s, no finding", flush=True)


def by_atheris(one_input: Input, seeds: list[bytes], mutate: Mutate, options: argparse.Namespace) -> None:
    import atheris

    def mutated(data: bytes, max_size: int, seed: int) -> bytes:
        source = random.Random(seed)
        if source.random() < 0.3:
            return atheris.Mutate(data, max_size)
        return mutate(data, source)[:max_size]

    folder = tempfile.mkdtemp(prefix="seeds")
    for number, seed in enumerate(seeds):
        pathlib.Path(folder, f"{number:04}").write_bytes(seed)
    arguments = [
        sys.argv[0],
        f"-max_total_time={options.seconds}",
        f"-seed={options.seed}",
        f"-timeout={TIMEOUT}",
        f"-max_len={max(4096, 2 * max(map(len, seeds)))}",
        f"-artifact_prefix={os.path.join(options.findings, '')}",
        "-rss_limit_mb=4096",
        "-print_final_stats=1",
        folder,
    ]
    atheris.Setup(arguments, one_input, custom_mutator=mutated)
    atheris.Fuzz()
