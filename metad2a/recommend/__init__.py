"""`metad2a recommend`: the meta-model's answer for a dataset."""

from metad2a.recommend.model import MetaD2A, load

__all__ = ["MetaD2A", "load"]
