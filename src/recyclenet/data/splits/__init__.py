"""How photos are divided and balanced."""
