"""Cases that are measured in rounds, interleaved: a slow change of the machine touches all of them alike."""

import sys
from statistics import median

import gateways
from report import cost


def _work(case):
    return case.work


def _cost(one):
    return f"{cost(one):.1f} µs/request"


def measure_all(cases, rounds, measure, work=_work, said=_cost, result=None, is_over=lambda number: False):
    """Every case once in each round: `measured`, by the keys of cases and the numbers of rounds, and
    `trouble`, why a case has no result. What goes wrong becomes the case's result instead of ending the run.
    `result` has what was measured also if the run is broken off; `is_over`, asked after each round, ends it.
    """
    result = {} if result is None else result
    result.setdefault("trouble", {})
    result["measured"] = {case.key: {} for case in cases}
    for number in range(1, rounds + 1):
        for case in cases:
            if case.key in result["trouble"]:
                continue
            try:
                one = measure(case, number)
            except gateways.FAULTS as reason:
                result["trouble"][case.key] = f"{type(reason).__name__}: {reason}"
                print(f"bench: !!! {work(case)}: INVALID: {reason}", file=sys.stderr)
                continue
            result["measured"][case.key][number] = one
            print(f"bench: round {number}  {work(case)}: {said(one)}", file=sys.stderr)
        if is_over(number):
            break
    return result


def of(result, case):
    """What was measured of a case, round by round: nothing if it has no result."""
    return [] if case.key in result["trouble"] else list(result["measured"][case.key].values())


def line(result, case, columns, cells, work=_work):
    """A case's line of a table, or why it has none."""
    rounds = of(result, case)
    if not rounds:
        trouble = result["trouble"].get(case.key)
        why = "not measured" if trouble is None else f"**INVALID**: {trouble}"
        return f"| {work(case)} | {why} |" + " |" * (columns - 2)
    return "| " + " | ".join([work(case), *cells(rounds)]) + " |"


def middle(rounds, number):
    """The median of a number that each round has."""
    return median(number(one) for one in rounds)
