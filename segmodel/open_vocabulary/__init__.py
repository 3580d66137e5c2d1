"""OWLv2 and SAM 2 as one segmenter: words to boxes, boxes to masks."""
