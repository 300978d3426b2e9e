"""What a data set is worth as evidence: groups, leaks, conflicts, shortcuts."""
