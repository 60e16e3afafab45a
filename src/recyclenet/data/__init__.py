"""From files on a disk to a manifest."""
