"""Configuration: one TOML file, checked whole before anything starts."""
