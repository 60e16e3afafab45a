"""Ablation studies and their statistics (full tier)."""
