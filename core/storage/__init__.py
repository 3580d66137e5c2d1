"""Bytes that several processes and machines share."""
