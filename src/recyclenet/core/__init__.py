"""What every other part builds on: pictures, the evaluation transform, the model file, bins."""
