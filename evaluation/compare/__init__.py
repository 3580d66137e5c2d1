"""Routes beside each other: cases, predictions, statistics and the report."""
