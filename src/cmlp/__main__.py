"""python -m cmlp demo | trace | config."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable

from . import Network, show_config


def trace() -> None:
    """The hand calculation for System A of docs/derivation.md: 4 inputs, ReLU, sigmoid, softmax."""
    net = Network((4, 8, 8, 3), activation=("relu", "sigmoid"), dtype="float64", random_state=0)
    print(net.trace([0.5, -1.0, 0.25, 1.5], 1, learning_rate=0.1))


def _whole(least: int) -> Callable[[str], int]:
    def integer(text: str) -> int:
        if not (text.isdecimal() and least <= int(text) < 2**32):
            raise argparse.ArgumentTypeError(f"{text}: expected an integer from {least} to {2**32 - 1}")
        return int(text)

    return integer


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m cmlp", description="A compiled multilayer perceptron.")
    commands = parser.add_subparsers(dest="command", required=True)
    demo = commands.add_parser("demo", help="train a network on scikit-learn's digits, one sample at a time")
    demo.add_argument("--epochs", type=_whole(1), default=40, help="epochs of training (default %(default)s)")
    demo.add_argument(
        "--seed", type=_whole(0), default=0, help="of the split, the weights and the shuffles (default %(default)s)"
    )
    demo.add_argument(
        "--output", default="cmlp-demo", help="folder for the model and the picture (default %(default)s)"
    )
    commands.add_parser("trace", help="print every quantity of one sample's forward and backward pass")
    commands.add_parser("config", help="print which kernels run here, and why")
    chosen = parser.parse_args(arguments)
    if chosen.command == "demo":
        from .demo import run

        try:
            run(chosen.epochs, chosen.seed, chosen.output)
        except OSError as error:
            if isinstance(error, BrokenPipeError):
                raise
            sys.exit(f"--output {chosen.output}: {error}")
    elif chosen.command == "trace":
        trace()
    else:
        show_config()


if __name__ == "__main__":
    try:
        main()
        sys.stdout.flush()
    except BrokenPipeError:  # whoever read has gone; nor may the interpreter complain of it when it flushes
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
