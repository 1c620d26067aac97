"""`metad2a search`: the one loop that asks, measures, tells and keeps."""
