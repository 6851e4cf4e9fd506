"""Replays of a function over static buffers: the same on a CPU, where it is called, and on a GPU, where it is a graph."""

from types import SimpleNamespace
from typing import Any

import pytest
import torch

from toolkit.audio.mel import MelSettings
from toolkit.kernels import cuda_graphs
from toolkit.kernels.cuda_graphs import Places, Replay
from toolkit.nn.noise import Noise
from toolkit.nn.upsampling import hold_edges
from toolkit.vocoders.wavenet import WaveNet
from toolkit.vocoders.wavenet_generation import Generation


@pytest.mark.parametrize("passing", [False, True])
@pytest.mark.parametrize("graphs", [False, True], ids=["as the device has it", "recorded"])
def test_replays_equal_calls(graphs: bool, passing: bool, device: str, request: pytest.FixtureRequest) -> None:
    """A recurrence whose inputs are filled in before each call."""
    recordings = request.getfixturevalue("recordings") if graphs else []
    weight, state, inputs = torch.randn(3, 5, 5, device=device).unbind()
    weight = 0.3 * weight
    start, outputs = state.clone(), torch.empty(5, 5, device=device)

    def run() -> None:
        torch.tanh(torch.addmm(inputs, state, weight), out=outputs)
        state.copy_(outputs)

    replay, expected = Replay(run, [state], torch.device(device), passing), start
    for value in range(4):
        inputs.fill_(0.1 * value)
        replay()
        expected = torch.tanh(0.1 * value + expected @ weight)
        torch.testing.assert_close(outputs, expected)
    assert [recording.replays for recording in recordings] == [4] * graphs


def test_a_graph_that_passes_takes_over_the_memory_of_the_last(monkeypatch: pytest.MonkeyPatch) -> None:
    given = []

    def recorded(run: Any, device: torch.device, memory_of: Any) -> Any:
        given.append(memory_of)
        return SimpleNamespace(replay=run)

    monkeypatch.setattr(cuda_graphs, "captures", lambda device: True)
    monkeypatch.setattr(cuda_graphs, "recorded", recorded)
    monkeypatch.setattr(cuda_graphs, "PASSED", {})
    for passing in (True, False, True):
        Replay(lambda: None, [], torch.device("cpu"), passing)()
    assert given[:2] == [None, None] and given[2] is not None


@pytest.mark.parametrize("replayed", [0, 4])
def test_places(replayed: int) -> None:
    """Chunks from the back, the short one first: what the steps write is in the rows after ``back``, in one memory where replayed."""
    whole, places, seen = torch.arange(10.0).view(5, 2), Places(replayed), set()
    for rows in (whole[4:], whole[:4]):
        place = places.take("rows", rows)
        assert torch.equal(place, rows)
        place *= 2
        places.back("rows")
        seen.add(place.data_ptr())
    assert torch.equal(whole, 2 * torch.arange(10.0).view(5, 2)) and len(seen) == (1 if replayed else 2)


def test_the_function_runs_when_asked_and_not_before(device: str) -> None:
    count = torch.zeros((), device=device)
    replay = Replay(lambda: None if count.add_(1) is None else None, [count], torch.device(device))
    assert count.item() == 0
    replay()
    replay()
    assert count.item() == 2


@pytest.mark.parametrize("graphs", [False, True], ids=["as the device has it", "recorded"])
def test_wavenet_in_blocks_equals_its_parallel_form(graphs: bool, device: str, request: pytest.FixtureRequest) -> None:
    """Over many blocks, with a row that ends early."""
    recordings = request.getfixturevalue("recordings") if graphs else []
    torch.manual_seed(0)
    features = MelSettings(sample_rate=8000, hop=20, window=80, n_fft=256, n_mels=8, f_min=0.0, f_max=4000.0)
    net = WaveNet(8, 20, features, layers=4, cycles=2, residual=6, gate=5, skip=7, mixtures=3, condition=4, lp_shift=True, lp_order=4)
    net = net.to(device, torch.float64).eval()
    mel, lengths = torch.randn(3, 9, 8, dtype=torch.float64, device=device) - 3, torch.tensor([9, 4, 4], device=device)
    generation = Generation(net, 3, Noise.of_rows([1, 2, 3], device))
    generation.trace = []
    with torch.inference_mode():
        held = hold_edges(mel, torch.zeros_like(lengths), lengths, net.before, net.lookahead)
        wave = torch.zeros(3, 9 * 20, dtype=torch.float64, device=device)
        for start in range(0, 9, 3):
            generation.keep(lengths > start)
            frames = held[generation.rows, start : start + 3 + net.before + net.lookahead]
            wave[generation.rows, start * 20 : (start + 3) * 20] = generation.speak(frames)
        assert generation.rows.tolist() == [0]
        spoken = torch.stack([mixture[0] for mixture in generation.trace])
        torch.testing.assert_close(spoken, net.predict(mel[:1], wave[:1], lengths[:1])[0], rtol=1e-7, atol=1e-9)
    assert bool(recordings) == graphs
