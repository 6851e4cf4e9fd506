"""What `toolkit bench` measures without being told: presets that are systems, from the smallest to the published one."""

from toolkit.evaluate.speed import presets
from toolkit.tasks.schema import load_system


def test_the_presets_of_the_bench_are_systems_of_all_sizes() -> None:
    systems = [load_system(path) for path in presets()]
    units = [system.decoder.knobs["lstm"] for system in systems]
    assert units == sorted(units) and units[-1] == 1024
