# %% [markdown]
# # Truncated SVD of users x titles
#
# Ratings as a matrix, an unrated cell is 0. Items of one title are averaged into one column. The
# rank is chosen by energy: the singular triplets that stay below 90% of the sum of all of them.
# The same options take ml-latest-small, or twenty million ratings (there with `energy_of =
# "frobenius"`, or a fixed rank).

# %%
import csv

import matplotlib.pyplot as plt
import numpy as np
from nights import BLUE, GREY, ORANGE, nights, save

from mfspark.kernels.factorization.spectrum import n_within
from mfspark.models.records import INGEST, fit_key
from mfspark.queries.completed import completed_matrix
from mfspark.queries.lookup import list_of
from mfspark.samples.synthetic import SyntheticSpec, write_synthetic

SVD = ('models.run=["svd"]', 'models.svd.energy_of="nuclear"', 'evaluation.split="none"')

# %% [markdown]
# Synthetic ratings with a planted structure; film 300 gets the title of film 1, as remakes do.

# %%
with nights() as (run_night, folder):
    ratings, items = write_synthetic(SyntheticSpec(300, 300, 12_000, noise=0.4), folder)
    *rows, last = list(csv.reader(items.open()))
    with items.open("w", newline="") as file:
        csv.writer(file).writerows([*rows, [last[0], rows[1][1], last[2]]])

    by_id = run_night(ratings, *SVD, "models.svd.energy=1", items=(items,))
    whole = run_night(
        ratings, *SVD, "models.svd.energy=1", 'items.merge_on="title"', items=(items,)
    )
    part = run_night(
        ratings, *SVD, "models.svd.energy=0.9", 'items.merge_on="title"', items=(items,)
    )
    for run in (by_id, whole):
        ingest = run.record(INGEST)
        print(f"{ingest.n_users} users x {ingest.n_items} items, {ingest.n_accepted} ratings")

    # %% [markdown]
    # ## The spectrum, and where 90% is reached

    # %%
    fit = fit_key("all", "svd")
    record = whole.record(fit).record
    values = np.array(record["singular_values"])
    kept = len(part.record(fit).record["singular_values"])
    assert kept == n_within(0.9, values, values.sum())
    print(f"{len(values)} singular values, the largest {values[:3].round(1)}; {kept} are kept")

    figure, (left, right) = plt.subplots(1, 2, figsize=(9.5, 3.4))
    left.semilogy(values, color=BLUE)
    left.set(title="Singular values", xlabel="triplet")
    for parts, name, colour in ((values, "nuclear", BLUE), (values**2, "Frobenius", GREY)):
        right.plot(np.cumsum(parts) / parts.sum(), color=colour, label=name)
    right.axhline(0.9, color=ORANGE, linewidth=1, linestyle="--")
    right.axvline(kept, color=ORANGE, linewidth=1, linestyle="--")
    right.set(title=f"{kept} triplets stay below 90%", xlabel="triplets")
    right.legend()
    save(figure, "svd_spectrum")

    # %% [markdown]
    # ## Errors on the known cells, and the titles somebody has not rated
    #
    # Scores are U diag(s) V'; the published factors are U and s V.

    # %%
    cells = part.rows("""
        select r.rating, list_dot_product(u.factors, i.factors) as score
        from {ratings} r join {user_factors} u on u.user_id = r.user_id and u.model = 'svd'
                         join {item_factors} i on i.item_id = r.item_id and i.model = 'svd'""")
    errors = np.array([cell["score"] - cell["rating"] for cell in cells])
    print(f"L1 {np.abs(errors).mean():.4f}, RMSE {np.sqrt((errors**2).mean()):.4f} on known cells")
    for row in list_of(part, "1", "svd", 5).rows:
        print(f"{row['rank']}. {row['title']}  {row['score']:.3f}")

    # %% [markdown]
    # ## The filled matrix
    #
    # To fill it with ratings, unrated cells must count as something better than 0: as what the
    # biases of user and item say.

    # %%
    filled = completed_matrix(
        run_night(
            ratings, *SVD, "models.svd.rank=8", 'models.svd.unrated="baseline"', items=(items,)
        )
    )
    print(
        f"{filled.known.mean():.0%} known; predictions {filled.predictions.min():.1f} to "
        f"{filled.predictions.max():.1f}"
    )
