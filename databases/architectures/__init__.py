"""What architectures are: decision graphs, spaces of walks through them, and their networks."""
