"""The loop of search, against searchers without its parts."""
