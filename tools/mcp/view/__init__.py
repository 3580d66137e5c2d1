"""The view: a page in which people see a result and correct it, in a host or in a browser."""
