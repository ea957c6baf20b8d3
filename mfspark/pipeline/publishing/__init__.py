"""What stage publish writes: lists and factors of the fitted models."""
