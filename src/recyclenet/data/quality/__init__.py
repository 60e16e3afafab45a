"""What is wrong with photos: scanning, cleaning, copies, inspection, quarantine."""
