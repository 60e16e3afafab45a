"""How good a model is: figures from a prediction table, and pages that show them."""
