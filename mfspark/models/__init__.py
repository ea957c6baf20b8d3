"""One file a model: `fit(context) -> model`, `model.predict(...)`, `model.recommend(...)`."""
