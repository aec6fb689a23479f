"""The demo's data: invented people, drawn, and what the cameras of two cities make of them."""
