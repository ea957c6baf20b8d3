"""The iterations of every alternating method: solve one side given the other, then the reverse."""

from dataclasses import dataclass, replace
from typing import Self

from mfspark.config.models import AlternatingOptions
from mfspark.grid.grid import Grid
from mfspark.grid.kernels import SweepKernel
from mfspark.grid.layout import BySide
from mfspark.grid.training import Loss, State
from mfspark.kernels.arrays.tile import Array, Arrays
from mfspark.models.factor_model import StartRows, start_state


@dataclass(frozen=True)
class Alternating:
    """Two sweeps an iteration with one kernel for both sides."""

    half: SweepKernel
    """Solves one block; its numbers squared_error and weight give the loss of the iteration."""
    first: StartRows
    max_iter: int
    tol: float
    start_factors: BySide | None = None
    """Factors to start from; None: those that `first` makes."""

    @classmethod
    def of(
        cls,
        half: SweepKernel,
        options: AlternatingOptions,
        seed: int,
        start_factors: BySide | None,
        unit: float = 1.0,
    ) -> Self:
        """Return the iterations of alternating least squares, from small random factors.

        unit: that of what products of factors stand for.
        """
        first = StartRows(options.rank, options.init_std * unit**0.5, seed)
        return cls(half, first, options.max_iter, options.tol, start_factors)

    def start(self, grid: Grid, name: str) -> State:
        """Start both sides with the start factors, or random ones."""
        return start_state(grid, name, self.first, self.start_factors)

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
        return state.iteration >= self.max_iter or state.stalled(self.tol)


def gram_of(block: Arrays) -> Array:
    """Return X'X of a factor block, float32 (k, k); the first blocks come without."""
    return block["gram"] if "gram" in block else block["factors"].T @ block["factors"]
