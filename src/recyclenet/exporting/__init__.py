"""Export a trained network to one verified model file (full tier)."""
