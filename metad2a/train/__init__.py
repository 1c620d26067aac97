"""`metad2a train`: networks are trained, resumed and read."""
