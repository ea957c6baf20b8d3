"""What the columns of a table hold, told from its names and from its first records."""
