"""The feature predictor and its losses."""
