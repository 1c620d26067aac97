"""Published benchmarks and users' own -> tasks and records of a store; importing again adds nothing."""
