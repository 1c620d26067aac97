"""NSGANetV2 against one answer: many short fine-tunings of inherited subnets, steered by surrogates."""
