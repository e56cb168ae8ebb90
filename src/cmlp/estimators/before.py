"""What an estimator was before a fit, for one that is undone."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..network import Network
from ..randomness import set_state, state_of


class Before:
    """The state of an estimator, its source of random numbers and, if the fit is to go on from it, its network.

    Parameters
    ----------
    estimator : MLPClassifier or MLPRegressor
    goes_on : bool
        Whether the fit changes the network at hand.
    """

    def __init__(self, estimator: Any, goes_on: bool):
        self.held: dict[str, Any] = estimator.__dict__.copy()
        random = estimator.random_state
        self.random = (random, state_of(random)) if isinstance(random, np.random.RandomState) else None
        self.network: Network | None = self.held.get("_network") if goes_on else None
        if self.network is not None:
            engine = self.network._engine
            self.parameters = self.network.parameters.copy()
            self.settings, self.solver_state = engine.settings, engine.solver_state

    def restore(self) -> None:
        """All but what is held.  Without memory for more, what the solver knew is lost."""
        if self.network is not None:
            self.network._parameters[:] = self.parameters
            try:
                if self.settings is not None:
                    self.network._set_solver(*self.settings)
                self.network._engine.solver_state = self.solver_state
            except MemoryError:
                self.network._engine.reset_solver()
        if self.random is not None:
            set_state(*self.random)
