"""Networks with shared weights are trained, searched and taken apart."""
