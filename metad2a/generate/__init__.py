"""A dataset in, architectures out: the graph decoder and the generator."""
