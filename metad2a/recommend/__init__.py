"""`metad2a recommend`: what fits a dataset, by whole pipelines or by cells."""
