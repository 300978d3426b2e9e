"""Manifest, decoding, synthetic castings, splits, augmentation and the DataModule."""
