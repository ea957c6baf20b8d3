"""What can be said of finished lists, and done with them."""
