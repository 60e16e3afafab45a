"""What networks cost in time and memory (full tier)."""
