"""Simulation of people with micro-expressions: scenarios, scenes, videos and ground truth."""
