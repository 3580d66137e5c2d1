"""Results: kept, corrected and written in many forms."""
