"""The forms of prediction files: COCO results, SAM3-I's entries, and a comparison's own lines."""
