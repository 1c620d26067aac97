"""Figures of devices that nothing was known of: on the published table, and where it is absent."""

from __future__ import annotations

from pathlib import Path

from metad2a.evaluate.latency_evaluation import CHOSEN, META_TEST, META_TRAIN, RANDOM, latency_figures


def test_devices_are_split_without_overlap() -> None:
    """What is judged was not learnt from."""
    assert len({*META_TRAIN, *META_TEST}) == len(META_TRAIN) + len(META_TEST) == 15


def test_without_the_table_the_reason_is_told(tmp_path: Path) -> None:
    """Nothing is made up."""
    assert "latency.csv.gz" in latency_figures(tmp_path)["skipped"]
    assert "latency.csv.gz" in latency_figures(None)["skipped"]


def test_ten_timings_order_the_cells_of_an_unknown_device(shared: Path) -> None:
    """Better than counting operations, and far better than timings given to the wrong cells."""
    found = latency_figures(shared / "nasbench201", fast=True, devices=("gold_6226",))
    for kind in (CHOSEN, RANDOM):
        told = found["mean Spearman"][kind]
        assert told["ours"]["mean"] > max(0.95, found["without measurements"]["FLOPs"])
        assert told["control, measurements shuffled"]["mean"] < told["ours"]["mean"] - 0.05
