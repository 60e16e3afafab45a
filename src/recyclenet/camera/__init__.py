"""Classifying what a camera or a video shows: frames in, one decision per item out."""
