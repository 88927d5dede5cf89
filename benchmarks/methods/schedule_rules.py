"""Dispatch rules, list schedules and CP-SAT on generated problems. Nothing is chosen on these seeds: what `schedule` tries, and how
tight the ramp is, was chosen on seeds from 1000 on."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.methods.row import Held, Pair, Row
from headway.methods.schedule import (
    Activity,
    Problem,
    Resource,
    Rule,
    check,
    job_shop,
    least_tardiness,
    lower_bound,
    measure,
    parallel,
    ramp,
    schedule,
    serial,
    solve,
    tardiness,
)
from headway.methods.schedule.list_schedule import DeadlineMissed
from headway.methods.schedule.rules import CRITICAL_PATH, EDD, EDDC, FIFO, LATEST_START, LPT, MDD, MDDC, SPT

TIGHT = [(tightness, spread) for tightness in (0.2, 0.4, 0.6, 0.8) for spread in (0.2, 0.4, 0.6, 0.8, 1.0)]
TESTS = "tests/methods/schedule"


def keeps(problem: Problem) -> bool:
    """Whether our scheduler keeps everything: list schedules, and CP-SAT where they miss a deadline."""
    try:
        made = schedule(problem)
    except DeadlineMissed:
        made = solve(problem, cpu_s=30).schedule or serial(problem)
    return not check(problem, made)


def measure_ramp(seed: int) -> Pair:
    """The share of steps of the ramp that our scheduler keeps, and that of the rule that keeps most on other seeds."""
    problems = [step.problem for step in ramp(seed)]
    single = sum(not check(problem, serial(problem, LATEST_START)) for problem in problems)
    return Pair(sum(map(keeps, problems)) / len(problems), single / len(problems))


def measure_every_step(seed: int) -> Pair:
    """The steps that our scheduler keeps, and all there are."""
    problems = [step.problem for step in ramp(seed)]
    return Pair(sum(map(keeps, problems)), len(problems))


def gaps(seed: int, *rules: Rule) -> list[float]:
    """How far the total tardiness of rules is above the least, over 60 machines of 11 activities, as a share of it."""
    problems = [tardiness(10 * seed + draw, 11, *tight) for draw in range(3) for tight in TIGHT]
    least = sum(measure(each, least_tardiness(each)).total_tardiness for each in problems)
    return [sum(measure(each, parallel(each, rule)).total_tardiness for each in problems) / least - 1 for rule in rules]


def measure_twenty(seed: int) -> Pair:
    """The mean total tardiness of 60 machines of 20 activities, by MDDC and by MDD."""
    problems = [tardiness(10 * seed + draw, 20, *tight) for draw in range(3) for tight in TIGHT]
    return Pair(*(sum(measure(each, parallel(each, rule)).total_tardiness for each in problems) / 60 for rule in (MDDC, MDD)))


def measure_lateness(seed: int) -> Pair:
    """The mean of the largest tardiness on a machine, by EDD and by MDD."""
    problems = [tardiness(10 * seed + draw, 30, *tight) for draw in range(3) for tight in TIGHT]
    most = [sum(measure(each, parallel(each, rule)).most_tardy for each in problems) / len(problems) for rule in (EDD, MDD)]
    return Pair(*most)


def measure_example(seed: int) -> Pair:
    """The example of the paper, by MDDC and by MDD."""
    durations, dues = (10, 11, 10, 10, 11, 10), (15, 11, 13, 11, 12, 11)
    pairs = enumerate(zip(durations, dues, strict=True))
    jobs = tuple(Activity(f"j{number}", duration, uses={"m": 1}, due=due) for number, (duration, due) in pairs)
    problem = Problem(jobs, (Resource("m"),))
    return Pair(*(measure(problem, parallel(problem, rule)).total_tardiness for rule in (MDDC, MDD)))


def measure_makespans(problems: Sequence[Problem], rule: Rule, others: Sequence[Rule]) -> Pair:
    """The mean ratio of a rule's makespan to the lower bound, and that of the best of the others."""

    def ratio(one: Rule) -> float:
        return sum(measure(each, parallel(each, one)).makespan / lower_bound(each) for each in problems) / len(problems)

    return Pair(ratio(rule), min(map(ratio, others)))


def measure_critical(seed: int) -> Pair:
    shops = [job_shop(10 * seed + draw, 15, 10) for draw in range(10)]
    return measure_makespans(shops, CRITICAL_PATH, (FIFO, LPT, SPT))


def measure_longest(seed: int) -> Pair:
    """Equal machines, activities that need one of them."""
    problems = []
    for draw in range(20):
        works = tardiness(100 * seed + draw, 40).activities
        plain = tuple(Activity(each.name, each.duration, uses={"machine": 1}) for each in works)
        problems.append(Problem(plain, (Resource("machine", 5),)))
    return measure_makespans(problems, LPT, (FIFO, SPT))


def measure_solver(seed: int) -> Pair:
    """The makespan of CP-SAT on a job shop that it proves optimal, and that of the best rule."""
    problem = job_shop(seed, 8, 8)
    first = schedule(problem)
    found = solve(problem, cpu_s=20, start=first)
    return Pair(found.value or 0, measure(problem, first).makespan)


ROWS = [
    Row(
        method="R-ConstraintBench's ramp",
        function="headway.methods.schedule.ramp",
        item="schedule",
        claim="language models fail as constraints add up; the best keeps 0.66 of a ramp of its own (weighted area)",
        shows="every step has a schedule of ours that the checker allows",
        baseline="all steps",
        unit="steps of a ramp",
        measure=measure_every_step,
        reached=lambda low, high: low >= 1,
        seeds=20,
        test=f"{TESTS}/test_list_schedule.py::test_every_step_of_the_ramp_is_kept",
    ),
    Row(
        method="List schedules",
        function="headway.methods.schedule.schedule",
        item="schedule",
        claim="",
        shows="keeps more steps of the ramp than a single rule",
        baseline="latest start, the rule that keeps most on other seeds",
        unit="share of the steps of a ramp",
        measure=measure_ramp,
        compare="difference",
        reached=lambda low, high: low > 0,
        seeds=20,
        test=f"{TESTS}/test_list_schedule.py::test_the_ramp_is_too_hard_for_a_single_rule",
    ),
    Row(
        method="EDD",
        function="headway.methods.schedule.rules.edd",
        item="schedule",
        claim="the least maximum lateness on one machine",
        shows="a smaller maximum tardiness on one machine",
        baseline="MDD",
        unit="largest tardiness",
        measure=measure_lateness,
        reached=lambda low, high: high < 1,
        test=f"{TESTS}/test_rules.py::test_edd_has_the_least_maximum_lateness_on_one_machine",
    ),
    Row(
        method="MDD",
        function="headway.methods.schedule.rules.mdd",
        item="schedule",
        claim="",
        shows="total tardiness of one machine is nearer to the least",
        baseline="EDD",
        unit="gap to the least, which dynamic programming finds, 11 activities",
        measure=lambda seed: Pair(*gaps(seed, MDD, EDD)),
        compare="difference",
        reached=lambda low, high: high < 0,
        test=f"{TESTS}/test_rules.py::test_on_one_machine_mddc_is_nearer_to_the_least_than_mdd_and_mdd_than_edd",
    ),
    Row(
        method="EDDC",
        function="headway.methods.schedule.rules.eddc",
        item="schedule",
        claim="better than EDD up to 500 activities",
        shows="total tardiness of one machine is never above EDD's",
        baseline="EDD",
        unit="gap to the least, which dynamic programming finds, 11 activities",
        measure=lambda seed: Pair(*gaps(seed, EDDC, EDD)),
        compare="difference",
        reached=lambda low, high: high <= 0,
        test=f"{TESTS}/test_rules.py::test_eddc_swaps_the_last_two_at_most_and_is_never_later_than_edd",
    ),
    Row(
        method="MDDC",
        function="headway.methods.schedule.rules.mddc",
        item="schedule",
        claim="better than MDD and other rules at all sizes",
        shows="total tardiness of one machine is nearer to the least",
        baseline="MDD",
        unit="gap to the least, which dynamic programming finds, 11 activities",
        measure=lambda seed: Pair(*gaps(seed, MDDC, MDD)),
        compare="difference",
        reached=lambda low, high: high < 0,
        seeds=10,
        reason="with 11 activities the two are alike within noise, and both within 1 % of the least",
        test=f"{TESTS}/test_rules.py::test_on_one_machine_mddc_is_nearer_to_the_least_than_mdd_and_mdd_than_edd",
    ),
    Row(
        method="MDDC",
        function="headway.methods.schedule.rules.mddc",
        item="schedule",
        claim="better than MDD and other rules at all sizes",
        shows="less total tardiness of one machine with 20 activities",
        baseline="MDD",
        unit="mean total tardiness",
        measure=measure_twenty,
        reached=lambda low, high: high < 1,
        seeds=10,
        test=f"{TESTS}/test_rules.py::test_on_one_machine_mddc_is_nearer_to_the_least_than_mdd_and_mdd_than_edd",
    ),
    Row(
        method="MDDC",
        function="headway.methods.schedule.rules.mddc",
        item="schedule",
        claim="better than MDD and other rules at all sizes",
        shows="the example of six activities has a total tardiness of 141, the least, where MDD has 144",
        baseline="MDD",
        unit="total tardiness",
        measure=measure_example,
        compare="difference",
        reached=lambda low, high: high == -3,
        exact=True,
        test=f"{TESTS}/test_rules.py::test_the_example_of_the_paper_has_144_by_mdd_and_141_by_mddc_which_is_the_least",
    ),
    Row(
        method="Critical path",
        function="headway.methods.schedule.rules.critical_path",
        item="schedule",
        claim="",
        shows="shorter schedules of job shops",
        baseline="the best of first come, longest first and shortest first",
        unit="makespan over the lower bound, 15 jobs on 10 machines",
        measure=measure_critical,
        reached=lambda low, high: high < 1,
        test=f"{TESTS}/test_rules.py::test_the_critical_path_goes_first",
    ),
    Row(
        method="Longest processing time",
        function="headway.methods.schedule.rules.longest_first",
        item="schedule",
        claim="at most 4/3 - 1/(3m) times the least makespan",
        shows="shorter schedules of equal machines",
        baseline="the best of first come and shortest first",
        unit="makespan over the lower bound, 40 activities on 5 machines",
        measure=measure_longest,
        reached=lambda low, high: high < 1,
        test=f"{TESTS}/test_rules.py::test_longest_first_is_within_four_thirds_of_the_least_on_equal_machines",
    ),
    Row(
        method="CP-SAT",
        function="headway.methods.schedule.solve",
        item="schedule",
        claim="",
        shows="shorter schedules of job shops",
        baseline="the best of six rules with two schemes",
        unit="makespan, 8 jobs on 8 machines",
        measure=measure_solver,
        reached=lambda low, high: high < 1,
        test=f"{TESTS}/test_cp_sat.py::test_it_finds_the_least_of_every_objective",
    ),
    Held(
        item="schedule",
        promise="A problem without a schedule is refused before anything is spent, and the constraints that clash are named: "
        "without any one of them there is a schedule.",
        tests=(
            f"{TESTS}/test_clash.py::test_what_a_look_can_prove_is_refused_by_every_scheduler",
            f"{TESTS}/test_clash.py::test_an_explanation_clashes_and_is_smallest",
        ),
    ),
    Held(
        item="schedule",
        promise="What makes no sense (NaN, nothing, unknown names, circles, broken files) is refused in a sentence.",
        tests=(
            f"{TESTS}/test_problem.py::test_what_makes_no_sense_is_refused",
            f"{TESTS}/test_rules.py::test_a_key_that_is_no_number_is_refused",
            f"{TESTS}/test_instances.py::test_a_broken_file_of_psplib_is_refused_with_its_line",
            f"{TESTS}/test_instances.py::test_a_broken_job_shop_is_refused_with_its_line",
            f"{TESTS}/test_cp_sat.py::test_senseless_settings_are_refused",
        ),
    ),
    Held(
        item="schedule",
        promise="`headway bench schedule` and the sweep of job shops go on where they were killed, and solve nothing twice.",
        tests=(
            f"{TESTS}/test_bench_schedule.py::test_a_comparison_is_found_again_without_solving_anything",
            f"{TESTS}/test_bench_schedule.py::test_a_sweep_that_is_killed_solves_only_the_shops_that_are_left",
        ),
    ),
]
