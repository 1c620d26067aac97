"""``python -m metad2a``: the same as the program ``metad2a``."""

from metad2a.cli import main

if __name__ == "__main__":
    main()
