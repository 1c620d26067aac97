"""`metad2a retrain`: learns from the database and meets the champion."""
