"""VGG-19 and its heads, weights, and the from-scratch baselines."""
