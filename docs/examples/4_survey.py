# %% [markdown]
# # The survey: neighbors, and the completed matrix
#
# 45 people rated some of 10 films. Whoever did not rate a film gets the mean of their five nearest
# neighbors, rounded to the scale's step and kept inside the scale.

# %%
import matplotlib.pyplot as plt
import numpy as np
from nights import BLUE, nights, save

from mfspark.queries.completed import completed_matrix, write_long, write_wide
from mfspark.queries.lookup import neighborhood

KNN = (
    'models.run=["user_knn"]',
    "models.user_knn.num_neighbors=5",
    'models.user_knn.similarity="cosine"',
    'models.user_knn.aggregation="mean"',
    'completed.model="user_knn"',
    'publish.round_to="step"',
    'evaluation.split="none"',
)

# %%
with nights() as (run_night, folder):
    run = run_night(None, *KNN)
    for row in neighborhood(run, "Respondent 45", 5, 10).neighbors:
        print(f"{row['rank']}. {row['id']}  {row['similarity']:.4f}, {row['n_common']} in common")
    matrix = completed_matrix(run)
    write_wide(matrix, folder / "wide.csv")
    write_long(matrix, folder / "long.csv")
    for name in ("wide", "long"):
        print("".join((folder / f"{name}.csv").open().readlines()[:3]))

# %% [markdown]
# Known ratings are bold on colour, predictions stand beside them.

# %%
figure, axis = plt.subplots(figsize=(7, 9))
axis.imshow(
    np.where(matrix.known, matrix.filled, np.nan), cmap="Blues", vmin=0, vmax=9, aspect="auto"
)
for (u, i), value in np.ndenumerate(matrix.filled):
    known = matrix.known[u, i]
    axis.text(i, u, f"{value:g}", ha="center", va="center", fontsize=7,
              weight="bold" if known else "normal", color="#1c1b19" if known else BLUE)  # fmt: skip
axis.set_xticks(range(len(matrix.names)), matrix.names, rotation=40, ha="right", fontsize=8)
axis.set_yticks(range(len(matrix.users)), [str(user) for user in matrix.users], fontsize=6)
axis.set_title(f"{matrix.known.mean():.0%} known, the others predicted")
axis.grid(visible=False)
save(figure, "survey_completed")
