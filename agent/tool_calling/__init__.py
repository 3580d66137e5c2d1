"""A second agent: one conversation, in which a model calls the segmenter as a tool."""
