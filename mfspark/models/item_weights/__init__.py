"""Models of weights between items: what the choice of one says for another."""
