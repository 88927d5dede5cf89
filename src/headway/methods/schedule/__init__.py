"""Schedules: when each activity starts, under precedences, resources, downtime, windows, groups that must be apart, and due dates.

    problem = read_job_shop(text)
    first = schedule(problem)                       # dispatch rules on a list, in milliseconds
    found = solve(problem, cpu_s=30, start=first)   # CP-SAT: a better one, and how good the best can be
    check(problem, found.schedule)                  # what it breaks: nothing

Everything here is pure, from data to data: rules, schedulers, the checker. Only CP-SAT takes its time, so it is called in a task
of a pool. A program that makes many schedules makes each a task: then a run that is killed goes on where it stopped.
"""

from headway.methods.schedule.assignment.hungarian import assign as assign
from headway.methods.schedule.assignment.learned import Assigner as Assigner
from headway.methods.schedule.assignment.learned import train_assigner as train_assigner
from headway.methods.schedule.check import Objectives as Objectives
from headway.methods.schedule.check import Violation as Violation
from headway.methods.schedule.check import check as check
from headway.methods.schedule.check import measure as measure
from headway.methods.schedule.clash import Constraint as Constraint
from headway.methods.schedule.clash import InfeasibleProblem as InfeasibleProblem
from headway.methods.schedule.clash import constraints_of as constraints_of
from headway.methods.schedule.clash import find_clash as find_clash
from headway.methods.schedule.clash import relax as relax
from headway.methods.schedule.cp_sat import Solved as Solved
from headway.methods.schedule.cp_sat import explain as explain
from headway.methods.schedule.cp_sat import solve as solve
from headway.methods.schedule.exact import least_tardiness as least_tardiness
from headway.methods.schedule.instances.classic import load_classic as load_classic
from headway.methods.schedule.instances.formats import read_job_shop as read_job_shop
from headway.methods.schedule.instances.formats import read_psplib as read_psplib
from headway.methods.schedule.instances.generate import job_shop as job_shop
from headway.methods.schedule.instances.generate import ramp as ramp
from headway.methods.schedule.instances.generate import tardiness as tardiness
from headway.methods.schedule.list_schedule import DeadlineMissed as DeadlineMissed
from headway.methods.schedule.list_schedule import parallel as parallel
from headway.methods.schedule.list_schedule import schedule as schedule
from headway.methods.schedule.list_schedule import serial as serial
from headway.methods.schedule.orders import ORDERS as ORDERS
from headway.methods.schedule.orders import RuleOrder as RuleOrder
from headway.methods.schedule.orders import by_rule as by_rule
from headway.methods.schedule.paths import lower_bound as lower_bound
from headway.methods.schedule.problem import Activity as Activity
from headway.methods.schedule.problem import Problem as Problem
from headway.methods.schedule.problem import Resource as Resource
from headway.methods.schedule.problem import Schedule as Schedule
from headway.methods.schedule.rules import RULES as RULES
from headway.methods.schedule.rules import Ready as Ready
from headway.methods.schedule.rules import Rule as Rule
from headway.methods.schedule.rules import Scene as Scene
