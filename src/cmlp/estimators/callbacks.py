"""Who hears of an epoch's end: scikit-learn's own callbacks, where the installed version has them."""

from __future__ import annotations

import copy
from typing import Any

try:
    from sklearn.callback import CallbackSupportMixin, with_callbacks
except ImportError:  # scikit-learn before 1.9

    class CallbackSupportMixin:  # type: ignore[no-redef]
        """No callbacks."""

    def with_callbacks(method: Any) -> Any:
        return method


__all__ = ["CallbackSupportMixin", "FitEvents", "with_callbacks"]


class FitEvents:
    """A fit as scikit-learn's callbacks see it: a task with a subtask per epoch."""

    def __init__(self, estimator: Any, X: Any, y: Any, sample_weight: Any):
        self.estimator = estimator
        self.root: Any = None
        self.epoch: Any = None
        metadata = {} if sample_weight is None else {"sample_weight": sample_weight}
        self.data = {"X": X, "y": y, "metadata": metadata}
        if hasattr(estimator, "_skl_callbacks") or hasattr(estimator, "_parent_callback_ctx"):
            self.root = estimator._init_callback_context(max_subtasks=estimator.max_iter)
            self.root.call_on_fit_task_begin(estimator=estimator, **self.data)

    def epoch_begins(self) -> None:
        if self.root is not None:
            self.epoch = self.root.subcontext(task_name="epoch")
            self.epoch.call_on_fit_task_begin(estimator=self.estimator, **self.data)

    def epoch_ends(self) -> bool:
        """Whether a callback wants the fit to end."""
        if self.epoch is None:
            return False
        return bool(
            self.epoch.call_on_fit_task_end(
                estimator=self.estimator, reconstruction_attributes=self._fitted, **self.data
            )
        )

    def fit_ends(self) -> None:
        if self.root is not None:
            self.root.call_on_fit_task_end(
                estimator=self.estimator, reconstruction_attributes=self._fitted, **self.data
            )

    def _fitted(self) -> dict[str, Any]:
        """The parameters as they are now, which training goes on to change."""
        return self.estimator._held_by(copy.deepcopy(self.estimator._network))  # type: ignore[no-any-return]
