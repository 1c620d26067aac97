"""`metad2a compare`: searchers against each other on measured tables."""
