"""The budgeted search for a pipeline: a probed model in seconds, then what promises most in the time that is left."""
