# %% [markdown]
# # A small matrix, factorized in five ways
#
# Nonnegative factors with zeros as data, and two factor matrices by gradients: the Frobenius norm
# by Adam over all cells, over the known ones alone, with L2; and plain gradient descent.

# %%
import matplotlib.pyplot as plt
import numpy as np
from nights import BLUE, GREEN, GREY, ORANGE, losses, nights, save

R = np.array([[5, 3, 0, 2, 1], [4, 0, 0, 2, 1], [1, 3, 1, 0, 5], [1, 0, 2, 0, 4]], float)
ALONE = ('evaluation.split="none"', "models.nmf.tol=0")
TEXTBOOK = (
    'models.run=["torch_mf"]',
    "models.torch_mf.rank=6",
    "models.torch_mf.epochs=900",
    "models.torch_mf.biases=false",
    "models.torch_mf.center=false",
    "models.torch_mf.decay=1",
    'models.torch_mf.init="uniform"',
    "models.torch_mf.init_std=0.2887",  # uniform from 0 to 1
)


def torch_mf(**options: object) -> tuple[str, ...]:
    """Return overrides for the textbook's loop."""
    quoted = {k: f'"{v}"' if isinstance(v, str) else v for k, v in options.items()}
    return (*ALONE, *TEXTBOOK, *(f"models.torch_mf.{k}={v}" for k, v in quoted.items()))


ADAM = {"optimizer": "adam", "learning_rate": 0.02}
WAYS = {
    "NMF, zeros as data": (
        *ALONE,
        'models.run=["nmf"]',
        "models.nmf.rank=6",
        "models.nmf.max_iter=300",
    ),
    "norm by Adam, zeros": torch_mf(objective="norm", unrated="zero", reg=0, **ADAM),
    "norm by Adam, masked": torch_mf(objective="norm", reg=0, **ADAM),
    "squares by Adam, masked, L2": torch_mf(objective="squares", reg=0.05, **ADAM),
    "gradient descent, zeros, L2": torch_mf(
        objective="squares", unrated="zero", optimizer="sgd", learning_rate=0.01, reg=0.1
    ),
}

# %%
with nights() as (run_night, folder):
    ratings = folder / "ratings.csv"
    known = np.argwhere(R > 0)
    lines = [f"{u},{i},{R[u, i]:g}" for u, i in known]
    ratings.write_text("\n".join(["user,item,rating", *lines]) + "\n")
    curves: dict[str, list[float]] = {}
    rebuilt: dict[str, np.ndarray] = {}
    for way, overrides in WAYS.items():
        run = run_night(ratings, *overrides)
        model = run.models[0]
        X, Y = (
            np.array([row["factors"] for row in run.rows(
                f"select factors from {{{side}_factors}} where model = ? order by {side}_id", model
            )])
            for side in ("user", "item")
        )  # fmt: skip
        curves[way], rebuilt[way] = losses(run), X @ Y.T
        errors = np.abs(rebuilt[way] - R)
        print(
            f"{way:28} largest error on known cells {errors[R > 0].max():.3f}, "
            f"empty cells up to {rebuilt[way][R == 0].max():.2f}"
        )
        if model == "nmf":
            print("all factors are 0 or above:", bool((X >= 0).all() and (Y >= 0).all()))

# %% [markdown]
# The loss of each, and the matrix that its factors make. Masked, the empty cells are predictions;
# with zeros as data they stay near 0.

# %%
figure, axis = plt.subplots(figsize=(7, 3.6))
for (way, curve), colour in zip(
    curves.items(), (BLUE, GREEN, ORANGE, "#b78a1f", GREY), strict=True
):
    axis.loglog(range(1, len(curve) + 1), curve, label=way, color=colour)
axis.set(title="RMSE over the cells that count", xlabel="iteration")
axis.legend(fontsize=8)
save(figure, "dense_losses")

figure, axes = plt.subplots(1, 4, figsize=(10, 2.5))
shown = {"the matrix": R} | {w: rebuilt[w] for w in list(WAYS)[:3]}
for axis, (title, matrix) in zip(axes, shown.items(), strict=True):
    axis.imshow(matrix, cmap="Blues", vmin=0, vmax=6)
    for (u, i), value in np.ndenumerate(matrix):
        weight = "bold" if R[u, i] > 0 else "normal"
        text = f"{value:.0f}" if matrix is R else f"{value:.1f}"
        axis.text(i, u, text, ha="center", va="center", fontsize=8, weight=weight,
                  color="white" if value > 3.5 else "#1c1b19")  # fmt: skip
    axis.set_title(title, fontsize=9)
    axis.set(xticks=[], yticks=[])
    axis.grid(visible=False)
save(figure, "dense_matrices")
