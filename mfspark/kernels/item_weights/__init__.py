"""How much the choice of one item says for another: SLIM and EASE."""
