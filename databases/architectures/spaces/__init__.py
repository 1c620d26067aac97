"""One module a search space; `databases.architectures.space` names and loads them."""
