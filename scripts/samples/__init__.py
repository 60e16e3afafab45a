"""Procedural geometry, textures and scenes behind ``scripts/render_samples.py``."""
