"""A decoder's planes through lanes and workers; the oracle is the host's preparation and ONNX Runtime.

Kernel and host may round a tie in the network's input differently, by one grey level. So nearly all maps are equal to
the bit, and masks may differ only where the network is undecided.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgeseg.errors import BadInputError
from edgeseg.runtime.engine.inputs import PackedFrame
from edgeseg.runtime.engine.outcomes import Segmented
from edgeseg.runtime.engine.planes import Matrix, PlanarForm, PlanarFrame
from edgeseg.runtime.opener.engine_from_file import open_engine
from edgeseg.runtime.opener.use import Use
from edgeseg.runtime.video.decoded import picture_of
from edgeseg.runtime.video.engine_input import network_input_of
from edgeseg.runtime.video.picture import Picture
from edgeseg.runtime.worker.supervisor import SupervisorOptions
from edgeseg.runtime.worker.worker_engine import WorkerEngine, WorkerOptions
from edgeseg.specs import Crop
from tests.cuda.real_clips import SETTINGS, real_frames

NETWORK = (64, 80)
MATRICES: tuple[Matrix, ...] = ("bt601", "bt709", "bt2020")
WORST = 0.004
"""How far one grey level at one place moves the small network's probability, and how far from 0.5 a pixel may flip."""


@pytest.fixture(scope="module")
def pictures() -> list[Picture]:
    """100 real frames in planes, of three sizes, every third one."""
    found = [picture_of(frame) for frame in real_frames()]
    assert len(found) == 100
    return found


@pytest.fixture
def network(pictures: list[Picture], small_onnx: Path, tmp_path: Path) -> Path:
    from networks import resized_network

    return resized_network(small_onnx, tmp_path / "net" / "net.onnx", *NETWORK, pictures[0].bgr[:, :, ::-1])


def grainy(height: int, width: int, seed: int = 0, full_range: bool = False) -> Picture:
    """Colours that all lie inside RGB."""
    rng = np.random.default_rng(seed)
    rows, columns = height + height % 2, width + width % 2
    luma, chroma = rng.integers(90, 160, (rows, columns)), rng.integers(110, 146, (rows // 2, columns))
    return Picture.of_i420(height, width, np.vstack([luma, chroma]).astype(np.uint8), "bt709", full_range)


def meaning(picture: Picture, **form: Any) -> Picture:
    """The same samples under another matrix or range."""
    planes = planes_of(picture)
    return Picture(replace(planes, form=replace(planes.form, **form)))


def planes_of(picture: Picture) -> PlanarFrame:
    planes = picture.planar_frame
    assert planes is not None
    return planes


def expected(reference: Any, picture: Picture) -> Any:
    return reference.infer(network_input_of(picture, reference.info).pixels[np.newaxis])[0]


def check(found: Any, probability: Any) -> None:
    assert np.abs(found - probability).max() <= WORST
    flipped = (found >= 0.5) != (probability >= 0.5)
    assert (np.abs(probability[flipped] - 0.5) <= WORST).all()


@pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS.keys())
def test_100_real_frames_in_planes_give_the_masks_of_the_cpu_path(
    double: Any, standin: Callable[..., Any], pictures: list[Picture], network: Path, settings: dict[str, int]
) -> None:
    for name, value in settings.items():
        double.set(name, value)
    reference = open_engine(network, Use(1))
    session = standin(network)
    marked = flipped = equal = 0
    for picture in pictures:
        session.start(planes_of(picture))
        result, probability = session.finish(), expected(reference, picture)
        check(result.probability, probability)
        np.testing.assert_array_equal(result.mask, np.where(result.probability[0] >= 0.5, 255, 0))
        marked += result.area_px
        flipped += np.count_nonzero((result.mask > 0) != (probability[0] >= 0.5))
        equal += np.array_equal(result.probability, probability)
    assert 0.05 < marked / (100 * NETWORK[0] * NETWORK[1]) < 0.95, "masks that are all of one kind would prove little"
    assert equal >= 90 and flipped <= 3
    session.close()
    assert double.live() == (0, 0)


@pytest.mark.parametrize("size", [(720, 1280), (121, 161), (66, 83), (40, 40)])
@pytest.mark.parametrize("full_range", [False, True])
def test_matrix_and_range_are_those_of_each_frame(
    double: Any, standin: Callable[..., Any], small_onnx: Path, size: tuple[int, int], full_range: bool
) -> None:
    reference, session = open_engine(small_onnx, Use(1)), standin(small_onnx)
    picture = grainy(*size, full_range=full_range)
    found = {}
    for matrix in MATRICES:
        same = meaning(picture, matrix=matrix)
        session.start(planes_of(same))
        found[matrix] = session.finish().probability.copy()
        check(found[matrix], expected(reference, same))
    other = meaning(picture, full_range=not full_range)
    session.start(planes_of(other))
    found["other range"] = session.finish().probability.copy()
    check(found["other range"], expected(reference, other))
    assert len({probability.tobytes() for probability in found.values()}) == 4, "matrix or range is not heeded"
    session.close()


@pytest.mark.parametrize("crop", [(4, 10, 40, 50), (3, 5, 40, 50), (2, 3, 16, 16)])
def test_the_crop_is_taken_of_planes(
    double: Any, standin: Callable[..., Any], small_onnx: Path, tmp_path: Path, crop: tuple[int, ...]
) -> None:
    from networks import resized_network

    picture = grainy(61, 71)
    window = Crop(**dict(zip(("top", "left", "height", "width"), crop, strict=True)))
    path = resized_network(small_onnx, tmp_path / "crop.onnx", 16, 16, picture.bgr[:, :, ::-1], window)
    session = standin(path)
    session.start(planes_of(picture))
    check(session.finish().probability, expected(open_engine(path, Use(1)), picture))
    with pytest.raises(BadInputError, match="crop leaves"):
        session.start(planes_of(grainy(18, 18)))
    session.close()


def test_planes_pixels_and_prepared_frames_of_any_size_follow_each_other(
    double: Any, standin: Callable[..., Any], small_onnx: Path
) -> None:
    from edgeseg.runtime.cuda.cuda_engine import CudaOptions

    double.set("delay_us", 2000)
    double.set("seed", 3)
    reference, session = open_engine(small_onnx, Use(1)), standin(small_onnx, CudaOptions(lanes=3))
    pictures = [grainy(40 + 31 * index, 300 - 23 * index, seed=index) for index in range(9)]
    found = []
    for index, picture in enumerate(pictures):
        if index >= 3:
            found.append(session.finish().probability.copy())
        if index % 3 == 0:
            session.start(planes_of(picture))
        elif index % 3 == 1:
            session.start(PackedFrame(picture.bgr, "bgr"))
        else:
            session.start(network_input_of(picture, session.info))
    found += [session.finish().probability.copy() for _ in range(3)]
    for picture, probability in zip(pictures, found, strict=True):
        assert np.abs(probability - expected(reference, picture)).max() <= 3 * WORST  # BGR is halved as BGR
    session.close()


def test_planes_that_are_not_what_they_say_are_refused(
    double: Any, standin: Callable[..., Any], small_onnx: Path
) -> None:
    from edgeseg.runtime.cuda.cuda_engine import CudaOptions

    session = standin(small_onnx, CudaOptions(frame_bytes=40 * 40 * 3 // 2))
    samples = planes_of(grainy(40, 40)).samples
    for height, width in ((41, 40), (40, 42), (38, 40)):
        with pytest.raises(BadInputError, match="another shape"):
            session.start(PlanarFrame(samples, PlanarForm(height, width, "bt709", False)))
    with pytest.raises(BadInputError, match="does not fit"):
        session.start(planes_of(grainy(40, 42)))
    session.start(PlanarFrame(samples, PlanarForm(39, 39, "bt709", False)))
    session.finish()
    session.close()


@pytest.mark.parametrize("integrated", [0, 1], ids=["discrete", "integrated"])
def test_planes_in_pinned_memory_are_read_where_they_lie_and_1000_allocate_nothing(
    double: Any, standin: Callable[..., Any], small_onnx: Path, integrated: int
) -> None:
    from test_steady_state import ALLOCATIONS, WAITS

    double.set("integrated", integrated)
    session = standin(small_onnx)
    memory = np.zeros(3 * 4096, np.uint8)
    start = -memory.ctypes.data % 4096
    page = memory[start : start + 4096]
    assert session.pin(page)
    picture = grainy(30, 40)
    planes = planes_of(picture)
    session.start(planes)
    first = session.finish().probability.copy()
    session._idle[0]._buffers.staging[...] = 77
    lain = PlanarFrame(page[: planes.nbytes].reshape(planes.samples.shape), planes.form)
    lain.samples[...] = planes.samples
    calls = (*ALLOCATIONS, *WAITS, "cuEventSynchronize", "cuGraphLaunch", "cuLaunchKernel", "cuMemcpyHtoDAsync")
    before, live = {call: double.count(call) for call in calls}, double.live()
    for _ in range(1000):
        session.start(lain)
        np.testing.assert_array_equal(session.finish().probability, first)
    spent = {call: double.count(call) - before[call] for call in calls}
    assert spent == dict.fromkeys(calls, 0) | {
        "cuEventSynchronize": 1000,
        "cuGraphLaunch": 1000,
        "cuMemcpyHtoDAsync": 0 if integrated else 1000,
    }
    assert double.live() == live
    assert (session._idle[0]._buffers.staging == 77).all(), "the planes took the way over the staging memory"
    session.close()
    assert double.live() == (0, 0)


@pytest.fixture
def pool(
    double: Any, standin: Callable[..., Any], small_onnx: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[WorkerEngine]:
    from edgeseg.runtime.cuda.cuda_engine import CudaOptions

    for name, value in {"DELAY_US": "2000", "SEED": "5", "LOCK": "1"}.items():
        monkeypatch.setenv(f"CUDADOUBLE_{name}", value)
    room = 200 * 300 * 3 // 2
    info = replace(open_engine(small_onnx, Use(1)).info, takes_planes=True)
    supervisor = SupervisorOptions(slots=3, frame_bytes=room)
    factory = partial(standin, small_onnx, CudaOptions(lanes=2, frame_bytes=room))
    opened = WorkerEngine(factory, info, WorkerOptions(grows=False, supervisor=supervisor))
    opened.wait_ready(60.0)
    yield opened
    opened.close()


def test_planes_through_shared_memory_give_the_cpu_paths_maps(pool: WorkerEngine, small_onnx: Path) -> None:
    reference = open_engine(small_onnx, Use(1))
    pictures = [grainy(50 + 7 * (index % 20), 300 - 9 * (index % 20), seed=index) for index in range(30)]
    under_way: dict[int, Picture] = {}
    done = 0
    while done < len(pictures):
        if done + len(under_way) < len(pictures) and len(under_way) < 3:
            picture = pictures[done + len(under_way)]
            sequence = pool.submit(planes_of(picture))
            assert sequence is not None
            under_way[sequence] = picture
            continue
        for outcome in pool.poll(5.0):
            assert isinstance(outcome, Segmented)
            check(outcome.probability, expected(reference, under_way.pop(outcome.sequence)))
            done += 1
    with pytest.raises(BadInputError, match="larger than the memory"):
        pool.submit(planes_of(grainy(200, 302)))


def test_larger_planes_get_a_process_with_more_room(build: Callable[..., Path], small_onnx: Path) -> None:
    session, reference = open_engine(build()), open_engine(small_onnx, Use(1))
    assert isinstance(session, WorkerEngine) and session.info.takes_planes
    for picture in (grainy(90, 160), grainy(2160, 2000), grainy(90, 160)):
        assert session.submit(planes_of(picture)) is not None or picture.height == 2160
        session.wait_ready(60.0)
        if picture.height == 2160:
            assert session.submit(planes_of(picture)) is not None
        (outcome,) = session.poll(60.0)
        assert isinstance(outcome, Segmented)
        check(outcome.probability, expected(reference, picture))
    session.close()
