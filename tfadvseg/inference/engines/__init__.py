"""What computes predictions: one module an engine."""
