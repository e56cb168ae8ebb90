"""What a training run shows of itself while it runs."""

from __future__ import annotations

import sys
from contextlib import suppress
from typing import Any

from .options import Options
from .training import History


class Progress:
    """Epochs as they end: a tqdm bar on a terminal where tqdm is installed, else a line each; only if verbose."""

    def __init__(self, options: Options, done: int = 0):
        self.verbose = bool(options.verbose)
        self.bar: Any = _bar(options.max_iter, done) if self.verbose else None

    def epoch_ends(self, history: History) -> None:
        if not self.verbose:
            return
        shown = {"loss": f"{history.loss_curve_[-1]:.6f}"}
        if history.validation_scores_:
            shown["validation"] = f"{history.validation_scores_[-1]:.4f}"
        if self.bar is not None:
            self.bar.set_postfix(shown, refresh=False)
            self.bar.update()
        else:
            say(f"epoch {history.n_iter_}, " + ", ".join(f"{k} = {v}" for k, v in shown.items()))

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *exc: object) -> None:
        if self.bar is not None:
            self.bar.close()


def say(line: str) -> None:
    """Prints it, or not where nobody can read it: the training is worth more than what it says of itself."""
    with suppress(OSError, ValueError):  # a broken pipe, a full disk, a closed file
        print(line, flush=True)


def _bar(total: int, done: int) -> Any:
    try:
        terminal = sys.stderr.isatty()
    except (AttributeError, ValueError):  # none, a stand-in, or closed
        terminal = False
    if not terminal:
        return None
    try:
        from tqdm import tqdm
    except ImportError:
        return None
    return tqdm(total=total, initial=done, unit="epoch")
