"""What is estimated: everything that scores an architecture for a dataset without fully training it."""
