"""What runs inside the guard, the zygotes and the instances; imports nothing of the rest of Headrace."""
