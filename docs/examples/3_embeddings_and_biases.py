# %% [markdown]
# # Embeddings, and biased matrix factorization
#
# First a handful of triples, small enough to print all there is. Then ratings with biases, by
# mini-batches, with the loss on held-out ratings each epoch; and the same in full batches by Adam,
# with norms as the penalty.

# %%
import matplotlib.pyplot as plt
import numpy as np
from nights import BLUE, ORANGE, losses, nights, save

from mfspark.queries.predict import predict_pair
from mfspark.samples.synthetic import SyntheticSpec, write_synthetic

TRIPLES = [(0, 0, 5), (0, 1, 3), (0, 2, 1), (1, 0, 4), (1, 3, 2), (2, 1, 5), (2, 2, 4), (2, 4, 2)]


def torch_mf(**options: object) -> tuple[str, ...]:
    """Return overrides of a night with torch_mf alone."""
    quoted = {k: f'"{v}"' if isinstance(v, str) else str(v).lower() for k, v in options.items()}
    settings = [f"models.torch_mf.{k}={v}" for k, v in quoted.items()]
    return ('models.run=["torch_mf"]', 'evaluation.split="none"', *settings)


# %%
with nights() as (run_night, folder):
    ratings = folder / "triples.csv"
    lines = [f"{u},{i},{r}" for u, i, r in TRIPLES]
    ratings.write_text("\n".join(["user,item,rating", *lines]) + "\n")
    embeddings = run_night(
        ratings,
        *torch_mf(
            objective="squares", rank=5, epochs=500, optimizer="adam", learning_rate=0.01, reg=0,
            biases=False, center=False, decay=1, init_std=1.0,
        ),
    )  # fmt: skip
    mse = np.square(losses(embeddings))
    print("MSE every 10 epochs:", mse[:100:10].round(3))
    for side in ("user", "item"):
        print(f"{side} factors")
        for row in embeddings.rows(
            f"from {{{side}_factors}} where model = 'torch_mf' order by {side}_id"
        ):
            print(" ", row[f"{side}_id"], np.round(row["factors"], 3))
    (opinion,) = predict_pair(embeddings, "0", "3", "torch_mf").opinions
    print(f"user 0, item 3: {opinion.prediction:.2f} ({opinion.basis})")

    # %% [markdown]
    # ## Biases, by mini-batches and in full batches

    # %%
    many, _ = write_synthetic(SyntheticSpec(1000, 500, 50_000), folder)
    held_out = {"epochs": 40, "validation_share": 0.2, "patience": 40}
    batches = run_night(many, *torch_mf(batch_size=2048, **held_out))
    full = run_night(
        many,
        *torch_mf(
            objective="norm", optimizer="adam", learning_rate=0.02, decay=1, reg=0.2,
            **held_out | {"epochs": 200, "patience": 200},
        ),
    )  # fmt: skip
    curves = {
        title: {split: np.square(losses(run, split)) for split in ("train", "validation")}
        for title, run in (("Mini-batches", batches), ("Full-batch Adam, norms", full))
    }

# %%
figure, axes = plt.subplots(1, 3, figsize=(11, 3.2))
axes[0].semilogy(mse, color=BLUE)
axes[0].set(title="Embeddings: MSE of 8 triples", xlabel="epoch")
for axis, (title, curve) in zip(axes[1:], curves.items(), strict=True):
    for split, name, colour in (("train", "train", BLUE), ("validation", "test", ORANGE)):
        axis.plot(curve[split], color=colour, label=name)
        print(f"{title}: {name} MSE {curve[split][-1]:.3f}")
    axis.set(title=f"{title}: MSE", xlabel="epoch")
    axis.legend()
save(figure, "embedding_losses")
