"""Comparisons of trainings: ablations and their statistics (full tier)."""
