"""NAS with reinforcement learning: cells, skip connections, a recurrent cell."""
