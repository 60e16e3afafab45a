"""The foundation: image decoding, the evaluation transform, the model file, bins."""
