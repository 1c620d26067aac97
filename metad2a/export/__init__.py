"""`metad2a export`: a trained network as weights and a program that needs torch alone."""
