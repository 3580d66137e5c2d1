"""The model on replicas and the tools on front ends, with Ray Serve (extra `serve`)."""
