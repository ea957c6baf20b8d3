"""`mfspark validate`: models measured on several parts of the ratings, one after the other."""
