"""What plugins say of themselves, turned into what is lost and what is missing."""

import random
from collections import Counter
from collections.abc import Sequence

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmtoken.ledger import GRACE, LATE, MISSING, Boot, Found, Told, boots_of, take
from llmtoken.report import Source
from support.clock import Clock


class Ledger:
    """Boots that are kept in memory, each written down and read again whenever it is heard of."""

    def __init__(self, *, clock: Clock) -> None:
        self._clock = clock
        self._kept: dict[str, bytes] = {}
        self._found = Found()

    def told(self, reported: Sequence[Source], current: Source | None = None) -> tuple[Counter[str], Counter[str]]:
        return self.told_at_once([(reported, current)])

    def told_at_once(self, told: Sequence[Told]) -> tuple[Counter[str], Counter[str]]:
        boots = {name: self._boot(name) for name in boots_of(told)}
        found = take(boots, told, self._clock())
        self._keep(boots)
        self._found.update(found)
        return tuple(  # type: ignore[return-value]
            Counter({reason: count for (kind, reason), count in found.items() if kind == which})
            for which in ("dropped", "failed")
        )

    def missing_and_late(self) -> tuple[int, int]:
        boots = {name: self._boot(name) for name in self._kept}
        for boot in boots.values():
            self._found.update(boot.settle(self._clock()))
        self._keep(boots)
        return self._found[MISSING, ""], self._found[LATE, ""]

    def _boot(self, name: str) -> Boot:
        return msgspec.json.decode(self._kept[name], type=Boot) if name in self._kept else Boot()

    def _keep(self, boots: dict[str, Boot]) -> None:
        self._kept.update({name: msgspec.json.encode(boot) for name, boot in boots.items()})


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def ledger(clock: Clock) -> Ledger:
    return Ledger(clock=clock)


def reports(*sequences: int, boot: str = "a", **losses: int) -> list[Source]:
    return [Source(boot=boot, sequence=sequence, **losses) for sequence in sequences]


def dropped(ledger: Ledger, source: Source) -> int:
    return ledger.told([source])[0].total()


# ── Lost, by the plugins' own account ───────────────────────────────────────────────────


def test_the_first_report_of_a_boot_counts_whole(ledger: Ledger) -> None:
    source = Source(boot="a", sequence=9, dropped=3, dropped_by={"queue_full": 3}, failed=2, failed_by={"rejected": 1})
    assert ledger.told([source]) == (Counter(queue_full=3), Counter(rejected=1, unknown=1))


def test_only_what_is_new_is_counted(ledger: Ledger) -> None:
    ledger.told([Source(boot="a", dropped=3, failed=2)])
    assert ledger.told([Source(boot="a", dropped=5, failed=2)]) == (Counter(unknown=2), Counter())


def test_a_report_that_was_overtaken_counts_nothing(ledger: Ledger) -> None:
    assert dropped(ledger, Source(boot="a", sequence=2, dropped=5)) == 5
    assert dropped(ledger, Source(boot="a", sequence=1, dropped=3)) == 0
    assert dropped(ledger, Source(boot="a", sequence=3, dropped=6)) == 1


def test_what_the_batch_tells_counts_once_with_what_its_reports_tell(ledger: Ledger) -> None:
    batch = reports(1, 2, dropped=1), Source(boot="a", sequence=3, dropped=2)
    assert ledger.told(*batch)[0].total() == 2
    assert ledger.told(*batch)[0].total() == 0


def test_a_batch_may_carry_reports_of_an_earlier_boot(ledger: Ledger) -> None:
    told = ledger.told(reports(7, boot="old", failed=2), Source(boot="new", sequence=1, dropped=1))
    assert told == (Counter(unknown=1), Counter(unknown=2))


def test_a_new_boot_begins_at_zero(ledger: Ledger) -> None:
    dropped(ledger, Source(boot="a", dropped=5))
    assert dropped(ledger, Source(boot="b", dropped=1)) == 1


def test_totals_without_a_boot_can_not_be_told_apart_and_are_left_out(ledger: Ledger) -> None:
    nobody = Source(sequence=5, dropped=5, failed=5)
    assert ledger.told([nobody], nobody) == (Counter(), Counter())


@given(st.data(), st.lists(st.integers(0, 5), min_size=1, max_size=20))
def test_in_any_order_and_with_repetitions_the_sum_is_the_last_total(data: st.DataObject, losses: list[int]) -> None:
    totals = [sum(losses[: end + 1]) for end in range(len(losses))]
    delivered: Sequence[int] = data.draw(st.permutations(totals + totals))
    ledger = Ledger(clock=Clock())
    assert sum(dropped(ledger, Source(boot="a", dropped=total)) for total in delivered) == totals[-1]


# ── Missing ─────────────────────────────────────────────────────────────────────────────


def test_a_gap_is_missing_once_it_has_been_open_for_the_grace_time(ledger: Ledger, clock: Clock) -> None:
    ledger.told(reports(1, 2, 5))
    clock.go_on(GRACE - 1)
    assert ledger.missing_and_late() == (0, 0)
    clock.go_on(1)
    assert ledger.missing_and_late() == (2, 0)
    assert ledger.missing_and_late() == (2, 0)


def test_a_gap_is_missing_soon_after_the_grace_time_however_much_arrives_meanwhile(
    ledger: Ledger, clock: Clock
) -> None:
    ledger.told(reports(1))
    clock.go_on(1)
    ledger.told(reports(3))
    for sequence in range(4, 400):
        clock.go_on(1)
        ledger.told(reports(sequence))
        if ledger.missing_and_late() == (1, 0):
            break
    assert GRACE <= sequence - 3 <= 1.1 * GRACE


def test_reports_that_overtake_one_another_are_not_missing(ledger: Ledger, clock: Clock) -> None:
    ledger.told(reports(1, 4, 5))
    clock.go_on(GRACE / 2)
    ledger.told(reports(2, 3))
    clock.go_on(GRACE)
    assert ledger.missing_and_late() == (0, 0)


def test_a_report_that_comes_twice_fills_one_place(ledger: Ledger, clock: Clock) -> None:
    for _ in range(3):
        ledger.told(reports(1, 3, 3))
    clock.go_on(GRACE)
    assert ledger.missing_and_late() == (1, 0)


def test_a_gap_that_was_found_missing_stays_so_when_its_plugin_was_silent_meanwhile(
    ledger: Ledger, clock: Clock
) -> None:
    ledger.told(reports(10))
    clock.go_on(1)
    ledger.told(reports(12))
    clock.go_on(GRACE)
    ledger.told(reports(13))
    assert ledger.missing_and_late() == (1, 0)


def test_a_late_arrival_closes_its_gap(ledger: Ledger, clock: Clock) -> None:
    ledger.told(reports(1, 5))
    clock.go_on(5 * 3600)
    ledger.told(reports(2, 3))
    assert ledger.missing_and_late() == (3, 2)


def test_what_arrives_late_was_missing_also_when_nobody_looked_meanwhile(ledger: Ledger, clock: Clock) -> None:
    ledger.told(reports(1, 3))
    clock.go_on(GRACE)
    ledger.told(reports(2))
    assert ledger.missing_and_late() == (1, 1)


def test_losses_that_the_plugin_accounts_for_are_not_missing(ledger: Ledger, clock: Clock) -> None:
    ledger.told(reports(1, 6, dropped=2, failed=1))
    clock.go_on(GRACE)
    assert ledger.missing_and_late() == (1, 0), "1 and 6 of 6 came, 3 are lost"


def test_a_missing_report_that_the_plugin_says_it_lost_is_not_missing_any_more(ledger: Ledger, clock: Clock) -> None:
    ledger.told(reports(1, 3))
    clock.go_on(GRACE)
    ledger.told([], Source(boot="a", sequence=3, failed=1))
    clock.go_on(GRACE)
    assert ledger.missing_and_late() == (1, 1)


@pytest.mark.parametrize("reason", ["queue_full", "spool_full"])
def test_new_losses_do_not_explain_an_old_gap_for_a_while(ledger: Ledger, clock: Clock, reason: str) -> None:
    ledger.told(reports(1, 3))
    clock.go_on(GRACE)
    assert ledger.missing_and_late() == (1, 0)
    for lost in range(1, 20):
        sequence = 3 + 2 * lost
        told = Source(boot="a", sequence=sequence, dropped=lost, dropped_by={reason: lost})
        ledger.told(reports(sequence - 1), told)
        clock.go_on(GRACE / 3)
        assert ledger.missing_and_late() == (1, 0)


def test_a_gap_is_found_also_while_the_queue_overflows_all_the_time(ledger: Ledger, clock: Clock) -> None:
    given_out, lost = 3, 0
    ledger.told(reports(1, 3))
    for _ in range(60):
        ledger.told(reports(given_out + 1))
        given_out, lost = given_out + 2, lost + 1
        ledger.told([], Source(boot="a", sequence=given_out, dropped=lost, dropped_by={"queue_full": lost}))
        clock.go_on(GRACE / 20)
    assert ledger.missing_and_late() == (1, 0)


def test_the_batch_tells_of_numbers_that_nothing_followed(ledger: Ledger, clock: Clock) -> None:
    ledger.told(reports(1), Source(boot="a", sequence=4))
    clock.go_on(GRACE)
    assert ledger.missing_and_late() == (3, 0)


def test_a_ledger_alone_opens_gaps(ledger: Ledger, clock: Clock) -> None:
    ledger.told(reports(1))
    ledger.told([], Source(boot="a", sequence=4, dropped=1))
    clock.go_on(GRACE)
    assert ledger.missing_and_late() == (2, 0)


def test_waiting_reports_of_a_busy_plugin_are_not_missing(ledger: Ledger, clock: Clock) -> None:
    for sequence in range(1, 2000):
        ledger.told(reports(sequence), Source(boot="a", sequence=sequence + 100))
        clock.go_on(1)
    assert ledger.missing_and_late() == (0, 0)


def test_reports_without_a_number_leave_no_gaps(ledger: Ledger, clock: Clock) -> None:
    ledger.told([Source(boot="a"), Source(boot="a")])
    ledger.told(reports(7), Source(boot="a"))
    clock.go_on(GRACE)
    assert ledger.missing_and_late() == (0, 0)


def test_boots_have_numbers_of_their_own(ledger: Ledger, clock: Clock) -> None:
    ledger.told([*reports(1, 3, boot="a"), *reports(1, 2, boot="b")], Source(boot="b", sequence=4))
    clock.go_on(GRACE)
    assert ledger.missing_and_late() == (3, 0)


def test_it_says_when_it_has_to_be_looked_at_again(clock: Clock) -> None:
    boot = Boot()
    boot.take(reports(1, 2), None, clock())
    assert boot.due(clock()) is None, "nothing is open"
    clock.go_on(10)
    boot.take(reports(4), None, clock())
    due = boot.due(clock())
    assert due is not None
    clock.go_on(due - clock())
    while boot.settle(clock()) == Found() and (due := boot.due(clock())) is not None:
        clock.go_on(due - clock())
    assert boot.missing == 1
    assert boot.due(clock()) is None, "nothing more can be found without news"


def test_nothing_is_found_missing_while_it_may_not_be_settled(clock: Clock) -> None:
    boot = Boot()
    boot.take(reports(1, 3), None, clock())
    clock.go_on(2 * GRACE)
    assert boot.take(reports(4), None, clock(), settles=False) == Found()
    assert boot.take(reports(5), None, clock()) == Found({(MISSING, ""): 1})


# ── A collector that starts while plugins run ───────────────────────────────────────────


def test_what_came_before_the_first_report_that_we_see_is_not_judged(ledger: Ledger, clock: Clock) -> None:
    ledger.told(reports(100, 101), Source(boot="a", sequence=101))
    ledger.told(reports(50))
    clock.go_on(GRACE)
    assert ledger.missing_and_late() == (0, 0)


def test_losses_from_before_do_not_explain_a_gap_from_after(ledger: Ledger, clock: Clock) -> None:
    ledger.told(reports(100, dropped=40), Source(boot="a", sequence=100, dropped=40))
    ledger.told(reports(103, dropped=40), Source(boot="a", sequence=103, dropped=41))
    clock.go_on(GRACE)
    assert ledger.missing_and_late() == (1, 0)


def test_what_waited_when_we_came_is_followed(ledger: Ledger, clock: Clock) -> None:
    """The losses so far may be of what waited, as far as it doesn't arrive, but not of what came later."""
    ledger.told(reports(100, dropped=40), Source(boot="a", sequence=105, dropped=42))
    ledger.told(reports(101, 105, 106), Source(boot="a", sequence=107, dropped=42))
    clock.go_on(GRACE)
    assert ledger.missing_and_late() == (1, 0), "102 to 104 may be lost, 107 can't"


def test_the_first_reports_may_tell_of_losses_that_come_after_them(ledger: Ledger, clock: Clock) -> None:
    ledger.told(reports(1, 2, dropped=3))
    ledger.told(reports(6, dropped=3))
    clock.go_on(GRACE)
    assert ledger.missing_and_late() == (0, 0)


def test_a_ledger_may_be_the_first_that_we_hear(ledger: Ledger, clock: Clock) -> None:
    ledger.told([], Source(boot="a", sequence=100, dropped=7))
    ledger.told(reports(101, 103), Source(boot="a", sequence=103, dropped=7))
    clock.go_on(GRACE)
    assert ledger.missing_and_late() == (1, 0)


# ── Several batches at once ─────────────────────────────────────────────────────────────


def test_of_several_ledgers_the_latest_says_what_is_lost(ledger: Ledger) -> None:
    told = [([], Source(boot="a", sequence=9, dropped=3)), ([], Source(boot="a", sequence=7, dropped=1))]
    assert ledger.told_at_once(told)[0].total() == 3


def test_batches_that_overtook_one_another_leave_no_gap(ledger: Ledger, clock: Clock) -> None:
    ledger.told(reports(1))
    ledger.told_at_once([(reports(4, 5), None), (reports(2), None), (reports(3), None)])
    clock.go_on(GRACE)
    ledger.told(reports(6))
    assert ledger.missing_and_late() == (0, 0)


def test_the_first_of_several_batches_says_where_the_numbers_begin(ledger: Ledger, clock: Clock) -> None:
    ledger.told_at_once([(reports(10), None), (reports(5), None), (reports(12), None)])
    clock.go_on(GRACE)
    ledger.told(reports(13))
    assert ledger.missing_and_late() == (1, 0)  # 11


def test_each_boot_of_several_batches_is_told_its_own(ledger: Ledger) -> None:
    told = [
        (reports(1, dropped=1) + reports(1, boot="b", dropped=2), Source(boot="b", sequence=2, dropped=4)),
        (reports(2, dropped=3), None),
    ]
    assert ledger.told_at_once(told)[0].total() == 3 + 4


# ── All at once ─────────────────────────────────────────────────────────────────────────


@given(
    st.lists(st.sampled_from(["arrives", "dropped", "failed", "vanishes"]), max_size=50),
    st.randoms(use_true_random=False),
)
def test_whatever_happens_on_the_way_in_the_end_exactly_what_vanished_is_missing(
    fates: list[str], chance: random.Random
) -> None:
    """A plugin drops, gives up, loses without knowing, and delivers the rest late, twice and in any order."""
    clock = Clock()
    ledger = Ledger(clock=clock)
    given_out, dropped, failed, failing, vanished = 1, 0, 0, 0, 0
    waiting: list[int] = []
    sent: list[Told] = []

    def send(*sequences: int) -> None:
        by = {"queue_full": dropped}
        current = Source(boot="a", sequence=given_out, dropped=dropped, failed=failed, dropped_by=by)
        sent.append((reports(*sequences), current))
        if chance.random() < 0.7:  # else it is committed with the next one
            commit()

    def commit() -> None:
        ledger.told_at_once(sent)
        sent.clear()

    send(1)
    for fate in fates:
        given_out += 1
        dropped += fate == "dropped"
        failing += fate == "failed"
        vanished += fate == "vanishes"
        waiting += [given_out] * (fate == "arrives")
        if chance.random() < 0.5:
            chance.shuffle(waiting)
            some = chance.randint(0, len(waiting))
            failed += (told := chance.randint(0, failing))
            failing -= told
            send(*waiting[:some])
            waiting = waiting[chance.randint(0, some) :]
            if sent:
                clock.go_on(1)
                continue
            clock.go_on(chance.choice((1, 100, GRACE)))
            missing, late = ledger.missing_and_late()
            assert 0 <= missing - late <= vanished + len(waiting) + failing + failed
    failed += failing
    send(*waiting)
    commit()
    clock.go_on(GRACE)
    missing, late = ledger.missing_and_late()
    assert missing - late == vanished
