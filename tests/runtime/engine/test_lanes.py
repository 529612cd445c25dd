from modelservice_runtime.engine.lanes import Lanes


class Counted:
    """A lane with so many steps of work, each of one second."""

    def __init__(self, work: int, now: list[float]) -> None:
        self.work = work
        self.steps = 0
        self._now = now

    def step(self) -> bool:
        if self.work:
            self.work -= 1
            self.steps += 1
            self._now[0] += 1.0
        return self.work > 0


def make_lanes(interactive: int, patient: int, patience: float) -> tuple[Lanes, Counted, Counted]:
    now = [0.0]
    first, second = Counted(interactive, now), Counted(patient, now)
    return Lanes(first, second, patience, lambda: now[0]), first, second


def test_patient_lane_steps_when_the_interactive_one_is_idle() -> None:
    lanes, _, patient = make_lanes(0, 3, 100.0)
    assert [lanes.step() for _ in range(3)] == [True, True, False]
    assert patient.steps == 3


def test_patient_lane_waits_when_the_interactive_one_is_busy() -> None:
    lanes, interactive, patient = make_lanes(10, 3, 100.0)
    for _ in range(9):
        assert lanes.step()
    assert (interactive.steps, patient.steps) == (9, 0)


def test_patient_lane_gets_a_step_when_its_patience_ends() -> None:
    lanes, interactive, patient = make_lanes(100, 10, 4.0)
    for _ in range(20):
        lanes.step()
    assert (interactive.steps, patient.steps) == (20, 5)
