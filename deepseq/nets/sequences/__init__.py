"""Nets that read or write sequences, each named by its paper."""
