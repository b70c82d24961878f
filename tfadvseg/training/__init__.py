"""Training: from a configuration to a run folder."""

from tfadvseg.training.fitting import finish, fit
from tfadvseg.training.rounds import Round, rounds

__all__ = ["Round", "finish", "fit", "rounds"]
