"""The drawn data of the demo: invented people and the cameras of two cities."""
