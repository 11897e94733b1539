"""The virtual clock: time goes where it is told, timers in order."""

from .clock import VirtualClock


def test_timers_run_by_time_then_in_the_order_they_were_set(clock: VirtualClock) -> None:
    """The same program gives the same order, every time."""
    done: list[str] = []
    clock.after(2, lambda: done.append("late"))
    clock.after(1, lambda: done.append("first"))
    clock.after(1, lambda: done.append("second"))
    clock.run_for(2)
    assert done == ["first", "second", "late"]


def test_a_timer_sees_its_own_time(clock: VirtualClock) -> None:
    """Inside a timer it is exactly when it is due; after the run it is the run's end."""
    seen: list[float] = []
    clock.at(clock.now + 3, lambda: seen.append(clock()))
    clock.run_for(10)
    assert [*seen, clock()] == [1_800_000_003, 1_800_000_010]


def test_what_is_due_later_waits(clock: VirtualClock) -> None:
    """A run does not touch what comes after it."""
    done: list[int] = []
    clock.after(10.5, lambda: done.append(1))
    clock.run_for(10)
    assert not done


def test_a_cancelled_timer_does_not_run(clock: VirtualClock) -> None:
    """Cancelling is final, and harmless afterwards."""
    done: list[int] = []
    timer = clock.after(1, lambda: done.append(1))
    timer.cancel()
    clock.run_for(2)
    timer.cancel()
    assert not done


def test_a_timer_may_set_another(clock: VirtualClock) -> None:
    """What becomes due within the run runs within it."""
    done: list[float] = []
    clock.after(1, lambda: clock.after(1, lambda: done.append(clock())))
    clock.run_for(5)
    assert done == [1_800_000_002]


def test_sleep_moves_time_and_makes_timers_late(clock: VirtualClock) -> None:
    """Nothing runs in a sleep; what came due runs in the next run, and time does not go back for it."""
    seen: list[float] = []
    clock.after(1, lambda: seen.append(clock()))
    clock.sleep(5)
    assert not seen
    clock.run_for(0)
    assert seen == [1_800_000_005]


def test_a_run_inside_a_timer_runs_what_is_due_meanwhile(clock: VirtualClock) -> None:
    """A handler that waits by `run_for` lets the others go on."""
    done: list[str] = []

    def slow() -> None:
        clock.run_for(5)
        done.append("slow")

    clock.after(1, slow)
    clock.after(2, lambda: done.append("quick"))
    clock.run_for(3)
    assert (done, clock()) == (["quick", "slow"], 1_800_000_006)
