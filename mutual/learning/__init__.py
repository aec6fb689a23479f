"""Batches, optimiser steps, one round, pre-training."""
