"""`mfspark tune`: options of models chosen on a validation part of the training ratings."""
