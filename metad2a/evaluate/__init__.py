"""`metad2a evaluate`: how good the meta-model is, beside its rivals."""
