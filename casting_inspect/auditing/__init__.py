"""The audit of a data set: what is found, what it is worth as evidence, and the page about it."""
