"""Ratios beside what people would use instead, and where the time goes."""
