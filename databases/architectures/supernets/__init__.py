"""Networks whose weights many architectures share; they need torch and plain values only."""
