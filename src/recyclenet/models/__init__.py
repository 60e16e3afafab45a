"""Networks (full tier)."""
