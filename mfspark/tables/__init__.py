"""Published tables: immutable run directories, one pointer, manifests, locks and readers."""
