"""`clarion`: one command line for all."""
