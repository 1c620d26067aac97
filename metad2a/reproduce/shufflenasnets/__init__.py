"""ShuffleNASNets (Laube, Zell, 2018): cells that are fast by their frame."""
