"""What `mfspark tune` and `mfspark validate` share: folds, and models measured on them as tasks."""
