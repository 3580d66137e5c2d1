"""How large pictures in answers may be, light to import."""

DEFAULT_PICTURE_KB = 300
"""In base64; 1,000 bytes each."""
MAX_PICTURE_KB = 900
MIN_PICTURE_KB = 10
