"""What every model must beat: averages and popularity."""
