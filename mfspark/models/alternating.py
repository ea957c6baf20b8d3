"""The iterations of every alternating method: solve one side given the other, then the reverse."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from mfspark.grid.training import Loss
from mfspark.models.factors import StartRows, start_state

if TYPE_CHECKING:
    from mfspark.grid.grid import BySide, Grid, SweepKernel
    from mfspark.grid.training import State
    from mfspark.model_options import AlternatingOptions


@dataclass(frozen=True)
class Alternating:
    """Two sweeps an iteration with one kernel for both sides."""

    half: SweepKernel
    """Solves one block; its numbers squared_error and weight give the loss of the iteration."""
    options: AlternatingOptions
    seed: int
    previous: BySide | None = None
    """Factors to start from; None: random ones."""

    def start(self, grid: Grid, name: str) -> State:
        """Start both sides with earlier or small random factors."""
        options = self.options
        start = StartRows(options.rank, options.init_std, self.seed)
        return start_state(grid, name, start, self.previous)

    def step(self, grid: Grid, state: State, name: str) -> State:
        """Solve the users given the items, then the items given the users."""
        user, _ = grid.sweep("user", name, self.half, rows=state.user, columns=state.item)
        item, numbers = grid.sweep("item", name, self.half, rows=state.item, columns=user)
        iteration = state.iteration + 1
        rmse = (max(0.0, numbers["squared_error"]) / max(1.0, numbers["weight"])) ** 0.5
        history = (*state.history, Loss(iteration, "train", rmse))
        return replace(state, iteration=iteration, user=user, item=item, history=history)

    def finished(self, state: State) -> bool:
        """Stop after max_iter iterations, or when the loss changes by less than `tol` of itself."""
        losses = state.losses("train")
        stalled = len(losses) > 1 and abs(losses[-1] - losses[-2]) < self.options.tol * losses[-2]
        return state.iteration >= self.options.max_iter or stalled
