"""From files to checked ratings."""
