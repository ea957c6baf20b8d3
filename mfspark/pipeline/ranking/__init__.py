"""Lists of the models: ranked, filled, varied, and what can be said of them."""
