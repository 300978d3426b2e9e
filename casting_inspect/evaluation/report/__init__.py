"""The report of a run: one page that says what was shown, and what was not."""
