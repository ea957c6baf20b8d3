"""How models are measured, and whether a night is good enough; definitions: docs/evaluation.md."""
