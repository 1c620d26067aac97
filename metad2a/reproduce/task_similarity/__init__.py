"""NAS from task similarity (Le, Soltani, Ravier, Tarokh, 2021): distances of tasks, and what they are good for."""
