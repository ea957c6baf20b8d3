"""Questions to one published run; no Spark."""
