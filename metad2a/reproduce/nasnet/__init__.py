"""NASNet: a cell searched on one set transfers to another."""
