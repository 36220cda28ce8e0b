"""A matrix of trainings and compressions, the questions it answers, and its report."""
