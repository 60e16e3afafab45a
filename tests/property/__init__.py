"""Every command on random folders with random options: what must hold whatever a user does."""
