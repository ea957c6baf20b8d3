# %% [markdown]
# # A toy: random ratings and who is like whom
#
# Users, movies and ratings drawn at random, pairs drawn twice dropped; the similarity matrix of the
# users; a heatmap. What looks like structure here is chance.

# %%
import matplotlib.pyplot as plt
import numpy as np
from nights import nights, save

from mfspark.models.records import INGEST
from mfspark.samples.toy import ToySpec, write_toy

# %%
with nights() as (run_night, folder):
    ratings, items = write_toy(ToySpec(n_users=20, n_movies=15, n_draws=200, seed=42), folder)
    cosine = 'models.run=["user_knn"]', 'models.user_knn.similarity="cosine"'
    run = run_night(ratings, *cosine, 'evaluation.split="none"', items=(items,))
    n_ratings = run.record(INGEST).n_accepted
    print(f"200 draws, {n_ratings} distinct pairs")
    users = [row["user_id"] for row in run.rows("select user_id from {users} order by user_id")]
    similarity = np.eye(len(users))
    for row in run.rows("select user_id, neighbor_user_id, similarity from {user_neighbors}"):
        pair = users.index(row["user_id"]), users.index(row["neighbor_user_id"])
        similarity[pair] = row["similarity"]
print(np.round(similarity[:4, :4], 3))

# %%
figure, axis = plt.subplots(figsize=(5.6, 4.8))
image = axis.imshow(similarity, cmap="Blues", vmin=0, vmax=1)
axis.set_xticks(range(len(users)), [str(user) for user in users], fontsize=7)
axis.set_yticks(range(len(users)), [str(user) for user in users], fontsize=7)
axis.set(title="Cosine similarity of the users", xlabel="user", ylabel="user")
axis.grid(visible=False)
figure.colorbar(image, shrink=0.8)
save(figure, "toy_similarity")
