"""InstaNAS (Cheng, Lin, Juan, Wei, Sun, 2020): a network for each image."""
