"""`metad2a database build`: the project's own measurements."""
