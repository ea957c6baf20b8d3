"""The version, for the package, its metadata and every manifest."""

__version__ = "0.1.0"
