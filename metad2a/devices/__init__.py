"""`metad2a device`: what an architecture costs on a target device."""
