"""Which part of a picture an answer rests on."""
