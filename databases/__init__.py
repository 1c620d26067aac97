"""What is known: architectures, datasets, measurements. Learns nothing, decides nothing."""
