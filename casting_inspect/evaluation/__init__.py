"""Predictions table, metrics, intervals, figures: everything measured after training."""
