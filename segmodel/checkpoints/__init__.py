"""Models by name, official files, instruction heads of their own."""
