"""Ablations: a plan, its trainings, their scores, and the tables of Tacotron 2 with our figures beside the published ones."""
