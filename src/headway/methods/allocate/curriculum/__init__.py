"""Curricula: which task a student tries next, from how it did. Teachers are records; see `box.Teacher`."""

from headway.methods.allocate.curriculum.box import Box as Box
from headway.methods.allocate.curriculum.box import Teacher as Teacher
from headway.methods.allocate.curriculum.gaussians import AlpGmm as AlpGmm
from headway.methods.allocate.curriculum.gaussians import CovarGmm as CovarGmm
from headway.methods.allocate.curriculum.riac import Riac as Riac
from headway.methods.allocate.curriculum.simple import Adr as Adr
from headway.methods.allocate.curriculum.simple import Uniform as Uniform
from headway.methods.allocate.curriculum.simple import Unsolved as Unsolved
from headway.methods.allocate.curriculum.teach import Episode as Episode
from headway.methods.allocate.curriculum.teach import Taught as Taught
from headway.methods.allocate.curriculum.teach import teach as teach
