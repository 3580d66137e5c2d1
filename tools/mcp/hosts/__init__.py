"""Programs that start the server: their configuration, and packages to install from."""
